//! The arguments of `vl2svg` and `vl2png`: those of the npm package, of which `vega.py` has the help.

/// Options with a value, which may be the next argument.
const VALUED: [&str; 12] = [
    "-b",
    "--base",
    "-c",
    "--config",
    "-f",
    "--format",
    "-t",
    "--timeFormat",
    "--time-format",
    "-l",
    "--loglevel",
    "--seed",
];
const SCALE: [&str; 2] = ["-s", "--scale"];

/// What of the arguments counts for a drawing of our own.
#[derive(Debug, PartialEq)]
pub struct Arguments<'a> {
    /// The file of the specification; `-` for standard input.
    pub spec: &'a str,
    /// The file to write; `-` for standard output.
    pub image: &'a str,
    /// What the size is multiplied by; `None` where the arguments ask for what only the package does.
    pub scale: Option<f64>,
    /// The resolution, if one is asked for.
    pub pixels_per_inch: Option<f64>,
}

impl<'a> Arguments<'a> {
    /// Reads the arguments.
    pub fn parse(args: &'a [String]) -> Self {
        let (mut operands, mut scale, mut ppi, mut is_plain) = (Vec::new(), Some("1"), None, true);
        let mut args = args.iter().map(String::as_str);
        while let Some(arg) = args.next() {
            if arg == "--" {
                operands.extend(args.by_ref());
            } else if arg == "-" || !arg.starts_with('-') {
                operands.push(arg);
            } else if SCALE.contains(&arg) {
                scale = args.next();
            } else if let Some(value) = arg.strip_prefix("--scale=") {
                scale = Some(value);
            } else if let Some(value) = arg.strip_prefix("-s") {
                scale = Some(value);
            } else if arg == "--ppi" {
                ppi = Some(args.next().unwrap_or_default());
            } else if let Some(value) = arg.strip_prefix("--ppi=") {
                ppi = Some(value);
            } else {
                is_plain = false;
                if VALUED.contains(&arg) {
                    args.next();
                }
            }
        }
        let (scale, pixels_per_inch) = (scale.and_then(positive), ppi.and_then(positive));
        let is_plain = is_plain && pixels_per_inch.is_some() == ppi.is_some();
        let mut places = operands.iter().copied();
        let (spec, image) = (places.next().unwrap_or("-"), places.next().unwrap_or("-"));
        let scale = scale.filter(|_| is_plain && places.next().is_none());
        Arguments { spec, image, scale, pixels_per_inch }
    }
}

fn positive(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite() && *number > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_npm_package() {
        for (line, spec, image, scale, pixels_per_inch) in [
            ("", "-", "-", Some(1.0), None),
            ("a.json", "a.json", "-", Some(1.0), None),
            ("a.json b.svg", "a.json", "b.svg", Some(1.0), None),
            ("-s 2 a.json b.svg", "a.json", "b.svg", Some(2.0), None),
            ("a.json -s1.5 -", "a.json", "-", Some(1.5), None),
            ("a.json --scale=3", "a.json", "-", Some(3.0), None),
            ("--scale 3 - b.svg", "-", "b.svg", Some(3.0), None),
            ("-- -a.json", "-a.json", "-", Some(1.0), None),
            ("--ppi 144 a.json", "a.json", "-", Some(1.0), Some(144.0)),
            ("a.json -s 2 --ppi=36", "a.json", "-", Some(2.0), Some(36.0)),
            // The rest is for vl-convert.
            ("-s 0 a.json", "a.json", "-", None, None),
            ("-s x a.json", "a.json", "-", None, None),
            ("a.json -s", "a.json", "-", None, None),
            ("--ppi 0 a.json", "a.json", "-", None, None),
            ("a.json --ppi", "a.json", "-", None, None),
            ("-c config.json a.json", "a.json", "-", None, None),
            ("-b . --seed 1 a.json", "a.json", "-", None, None),
            ("-h a.json", "a.json", "-", None, None),
            ("--format=x.json", "-", "-", None, None),
            ("a.json b.svg c", "a.json", "b.svg", None, None),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(Arguments::parse(&args), Arguments { spec, image, scale, pixels_per_inch }, "{line}");
        }
    }
}
