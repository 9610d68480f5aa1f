//! The arguments of `vl2svg`: those of the npm package, of which `vega.py` has the help.

/// Options with a value, which may be the next argument.
const VALUED: [&str; 13] = [
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
    "--ppi",
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
}

impl<'a> Arguments<'a> {
    /// Reads the arguments.
    pub fn parse(args: &'a [String]) -> Self {
        let (mut operands, mut scale, mut is_plain) = (Vec::new(), Some("1"), true);
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
            } else {
                is_plain = false;
                if VALUED.contains(&arg) {
                    args.next();
                }
            }
        }
        let number = scale.and_then(|scale| scale.trim().parse::<f64>().ok());
        let number = number.filter(|number| number.is_finite() && *number > 0.0);
        let mut places = operands.iter().copied();
        let (spec, image) = (places.next().unwrap_or("-"), places.next().unwrap_or("-"));
        Arguments { spec, image, scale: number.filter(|_| is_plain && places.next().is_none()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_npm_package() {
        for (line, spec, image, scale) in [
            ("", "-", "-", Some(1.0)),
            ("a.json", "a.json", "-", Some(1.0)),
            ("a.json b.svg", "a.json", "b.svg", Some(1.0)),
            ("-s 2 a.json b.svg", "a.json", "b.svg", Some(2.0)),
            ("a.json -s1.5 -", "a.json", "-", Some(1.5)),
            ("a.json --scale=3", "a.json", "-", Some(3.0)),
            ("--scale 3 - b.svg", "-", "b.svg", Some(3.0)),
            ("-- -a.json", "-a.json", "-", Some(1.0)),
            // The rest is for vl-convert.
            ("-s 0 a.json", "a.json", "-", None),
            ("-s x a.json", "a.json", "-", None),
            ("a.json -s", "a.json", "-", None),
            ("-c config.json a.json", "a.json", "-", None),
            ("-b . --seed 1 a.json", "a.json", "-", None),
            ("-h a.json", "a.json", "-", None),
            ("--format=x.json", "-", "-", None),
            ("a.json b.svg c", "a.json", "b.svg", None),
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert_eq!(Arguments::parse(&args), Arguments { spec, image, scale }, "{line}");
        }
    }
}
