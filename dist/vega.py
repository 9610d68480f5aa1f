"""`python3 vega.py vl2png [options] [spec] [image]`: the npm tools vl2png, vl2svg, vg2png and vg2svg, without npm.

Options and results are those of the npm packages vega-lite and vega-cli. vl_convert (see vega.txt) draws; what a spec
names as its data is read here, because vl_convert reads no local file and draws an empty chart where a URL fails.
"""
import argparse, json, math, os, re, sys, urllib.parse, urllib.request

NEEDS = {"vl": {"mark", "layer", "facet", "hconcat", "vconcat", "concat", "repeat", "spec"}, "vg": {"marks"}}
SVG_HEADER = ('<?xml version="1.0" encoding="utf-8"?>\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" '
              '"http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd">\n')
NO_BASE = "https://vega.github.io/vega-datasets/"  # what vl_convert puts before the relative address of an image mark


def fail(code, error, hint):
    print(f"error: {error}\nhint: {hint}", file=sys.stderr)
    sys.exit(code)


class Parser(argparse.ArgumentParser):
    def error(self, message):
        fail(2, message, f"`{self.prog} --help` lists the options")


def positive(text):
    if not 0 < float(text) < math.inf:
        raise ValueError
    return float(text)


positive.__name__ = "positive number"  # how argparse's message calls it


def parse_args(tool, argv, version):
    kind = tool[3:]
    p = Parser(prog=tool, add_help=False, allow_abbrev=False)
    p.add_argument("spec", nargs="?", default="-", help="JSON file (default: standard input)")
    p.add_argument("image", nargs="?", default="-", help=f"{kind} file to write (default: standard output)")
    p.add_argument("-s", "--scale", type=positive, default=1.0, help="factor for the width and height (default: 1)")
    p.add_argument("-b", "--base", help="directory or URL that relative data is in (default: the spec's directory)")
    p.add_argument("-c", "--config", help="JSON file with a config object")
    p.add_argument("-f", "--format", help="JSON file with a number format locale")
    p.add_argument("-t", "--timeFormat", "--time-format", help="JSON file with a date and time format locale")
    p.add_argument("-l", "--loglevel", default="warn", help="`error` keeps warnings off standard error")
    p.add_argument("--seed", type=float, help="accepted, but has no effect")
    if kind == "png":
        p.add_argument("--ppi", type=positive, default=72.0, help="resolution; width and height grow by ppi / 72")
    else:
        p.add_argument("-h", "--header", action="store_true", help="begin with an XML header and doctype")
    p.add_argument(*["-h"] * (kind == "png"), "--help", action="help", help="show this help")
    p.add_argument("--version", action="version", version=version, help="show the versions")
    return p.parse_args(argv)


def is_web(address):
    return address.lower().startswith(("http://", "https://"))


def read(path, what, hint):
    try:
        if path == "-" and what == "spec":
            return sys.stdin.buffer.read().decode("utf-8-sig")
        web = is_web(path) and urllib.parse.quote(path, safe="%/:?#[]@!$&'()*+,;=~")
        with urllib.request.urlopen(web, timeout=60) if web else open(path, "rb") as f:
            return f.read().decode("utf-8-sig")
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or getattr(e, "reason", None) or e
        fail(3, f"can't read {what} `{path}`: {reason}", hint)


def read_object(path, what):
    text = read(path, what, f"give the {what} as a JSON file that can be read")
    try:
        value = json.loads(text, parse_constant=lambda _: None)  # NaN, which Python writes
    except (ValueError, RecursionError) as e:
        print_it = "`node -p 'JSON.stringify(require(\"./FILE\"))'` prints a JavaScript module's object as JSON"
        fail(3, f"{what} `{path}` is not JSON: {e}", print_it if path.endswith("js") else "give one JSON object")
    if not isinstance(value, dict):
        fail(3, f"{what} `{path}` is not a JSON object", "give one JSON object")
    return value


def merged(low, high, depth=2):
    """Vega's merge of two configs: `high` wins, key by key, and a style's keys are one level further down."""
    if not (depth and isinstance(low, dict) and isinstance(high, dict)):
        return high
    return {**low, **{k: merged(low.get(k), v, depth - (k != "style")) for k, v in high.items()}}


def inline(node, base, by_extension):
    """Puts the text of every file and URL that is named as data into the spec, for Vega to parse as it would have."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        for data in (value if isinstance(value, list) else [value]) if key == "data" else []:
            if isinstance(data, dict) and isinstance(data.get("url"), str):
                url = data.pop("url")
                kind = url.rsplit(".", 1)[-1] if by_extension else ""
                kind = kind if kind in ("csv", "tsv", "dsv", "topojson") else "json"
                data["format"] = {"type": kind, **(data.get("format") or {})}
                path = url[7:] if url.startswith("file://") else url if is_web(url) else os.path.join(base, url)
                data["values"] = read(path, "data", "relative data is sought beside the spec, or where `--base` says")
        if isinstance(value, (dict, list)) and key not in ("values", "datasets"):
            inline(value, base, by_extension)


def draw(vl_convert, tool, arg):
    language, kind = tool[:2], tool[3:]
    spec = read_object(arg.spec, "spec")
    schema = str(spec.get("$schema"))
    if not NEEDS[language] & spec.keys() or ("/vega/" if language == "vl" else "/vega-lite/") in schema:
        name, other = ("Vega-Lite", f"vg2{kind}") if language == "vl" else ("Vega", f"vl2{kind}")
        needed = ", ".join(sorted(NEEDS[language]))
        fail(3, f"spec `{arg.spec}` is not a {name} spec", f"it needs one of: {needed}; `{other}` draws the other kind")
    base = re.sub("^file://", "", arg.base or (os.path.dirname(arg.spec) or "." if arg.spec != "-" else ""))
    inline(spec, base, language == "vl")
    config = read_object(arg.config, "config") if arg.config else None
    options = {"allowed_base_urls": []}  # all data is in the spec now
    if arg.format:
        options["format_locale"] = read_object(arg.format, "number format")
    if arg.timeFormat:
        options["time_format_locale"] = read_object(arg.timeFormat, "time format")
    if arg.seed is not None:
        print("warning: --seed has no effect: vl-convert can't seed its random numbers", file=sys.stderr)
    if language == "vg":
        spec["config"] = merged(config or {}, spec.get("config") or {})
        svg = vl_convert.vega_to_svg(json.dumps(spec), **options)
    else:  # the npm tool draws a spec of any version with its own; here that's 5, as CML had it, or 6 for a spec of 6
        major = re.search(r"/vega-lite/v(\d+)", schema)
        most = max(5, int(major.group(1))) if major else 5
        versions = [tuple(map(int, v.split("."))) for v in vl_convert.get_vegalite_versions()]
        version = "%d.%d" % max(v for v in versions if v[0] <= most)
        warn = arg.loglevel.lower() != "error"
        svg = vl_convert.vegalite_to_svg(json.dumps(spec), version, config=config, show_warnings=warn, **options)
    svg = svg.replace(f'href="{NO_BASE}', 'href="' + os.path.join(base, ""))
    size = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    factor = arg.scale * (arg.ppi / 72 if kind == "png" else 1)
    width, height = (float(side) * factor for side in size.groups())
    if kind == "svg":
        svg = svg.replace(size.group(), f'width="{width:.15g}" height="{height:.15g}"', 1)
        return ((SVG_HEADER if arg.header else "") + svg).encode()
    if min(width, height) < 1 or max(width, height) > 32767 or width * height > 2 ** 28:
        fail(2, f"can't draw a PNG of {width:.0f} x {height:.0f} pixels", "choose another `--scale` (or `--ppi`)")
    return vl_convert.svg_to_png(svg, arg.scale, arg.ppi)


def write(image, path):
    """Writes the whole image or, where that fails, nothing."""
    target = os.path.realpath(path)
    part = f"{target}.{os.getpid()}.part" if os.path.isfile(path) or not os.path.exists(path) else None
    try:
        with open(1 if path == "-" else part or path, "wb", buffering=0, closefd=path != "-") as f:
            while image:
                image = image[f.write(image):]
        if part and path != "-":
            os.replace(part, target)
    except OSError as e:
        if part and os.path.exists(part):
            os.remove(part)
        fail(3, f"can't write image `{path}`: {e.strerror}", "name a file in a directory that can be written to")


def main():
    tool = sys.argv[1] if len(sys.argv) > 1 else ""
    if tool not in ("vl2png", "vl2svg", "vg2png", "vg2svg"):
        fail(2, f"unknown tool `{tool}`", "the first argument is vl2png, vl2svg, vg2png or vg2svg")
    try:
        import vl_convert
    except ImportError as e:
        fail(9, f"can't load vl_convert: {e}", "install it with `python3 -m pip install -r vega.txt`")
    vega, lite = vl_convert.get_vega_version(), vl_convert.get_vegalite_versions()
    version = f"vl-convert {vl_convert.__version__}, vega {vega}, vega-lite {lite[-1]}"
    arg = parse_args(tool, sys.argv[2:], version)
    try:
        image = draw(vl_convert, tool, arg)
    except Exception as e:  # what JavaScript throws reaches Python as a ValueError: its message, then a stack
        lines = [line for line in str(e).splitlines() if not line.startswith("    at ")]
        reason = re.sub(r"^Error: |\.$", "", lines[-1][:300]) if lines else type(e).__name__
        fail(9, f"can't draw spec `{arg.spec}`: {reason}", "the online Vega editor shows what is wrong with a spec")
    write(image, arg.image)


if __name__ == "__main__":
    main()
