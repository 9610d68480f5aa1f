use super::scale::{Bands, Linear, ascending};
use super::*;
use proptest::prelude::*;

fn nice(values: &[f64]) -> (f64, f64) {
    let scale = Linear::nice(values.iter().copied());
    (scale.low, scale.high)
}

/// The ends are those of d3's `scaleLinear().domain(…).nice()`.
#[test]
fn scales_are_rounded_as_d3_does() {
    for (values, expected) in [
        (&[10.0, 16.6][..], (10.0, 17.0)),
        (&[11.0, 15.0], (11.0, 15.0)),
        (&[0.1, 0.6], (0.1, 0.6)),
        (&[0.2, 0.77], (0.2, 0.8)),
        (&[-9.9, 0.0], (-10.0, 0.0)),
        (&[0.0, 4321.0], (0.0, 4500.0)),
        (&[5.0], (5.0, 5.0)),
        (&[], (0.0, 1.0)),
    ] {
        assert_eq!(nice(values), expected, "{values:?}");
    }
}

#[test]
fn bands_have_the_gaps_of_vega() {
    let names = || ["x", "y", "z"].map(Value::from).to_vec();
    let bands = Bands::new(names(), 0.2);
    assert_eq!((bands.at(0), bands.at(1), bands.width), (18.75, 112.5, 75.0));
    assert_eq!(Bands::new(names(), 0.0).place(&Value::from("z")), Some(200.0));
    assert_eq!(Bands::new(names(), 0.0).place(&Value::from("q")), None);
}

fn plot(template: Template, points: &[(Value, Value, usize, usize)]) -> Plot {
    let point = |(x, y, revision, group): &(Value, Value, usize, usize)| Point {
        x: x.clone(),
        y: y.clone(),
        revision: *revision,
        group: *group,
    };
    Plot {
        title: "a <title>".to_owned(),
        x_label: "the x".to_owned(),
        y_label: "the y".to_owned(),
        template,
        revisions: vec!["workspace".to_owned(), "main".to_owned()],
        groups: vec!["a.csv".to_owned(), "b.csv".to_owned()],
        points: points.iter().map(point).collect(),
    }
}

fn line(values: &[(i64, &str)]) -> Vec<(Value, Value, usize, usize)> {
    values.iter().map(|(x, y)| (Value::from(*x), Value::from(*y), 0, 0)).collect()
}

#[test]
fn a_series_is_one_path_with_gaps() {
    let drawn = draw(&plot(
        Template::Simple,
        &line(&[(2, "3"), (0, "1"), (1, "2.0"), (3, ""), (4, "nan"), (5, "2"), (6, "1")]),
    ));
    let path: Vec<&str> = drawn.lines().filter(|line| line.contains("class=\"s0\"") && line.contains('L')).collect();
    assert_eq!(path.len(), 1, "{drawn}");
    assert_eq!((path[0].matches('M').count(), path[0].matches('L').count()), (2, 3), "{path:?}");
    for text in ["<title>a &lt;title&gt;</title>", ">the x<", ">the y<", ">workspace, a.csv<"] {
        assert!(drawn.contains(text), "{text}: {drawn}");
    }
    assert!(!drawn.contains(">main"), "{drawn}");
}

#[test]
fn equal_steps_of_a_linear_plot_become_one() {
    let drawn = draw(&plot(Template::Linear, &line(&[(0, "1"), (0, "2"), (1, "5")])));
    let vertices = |line: &&str| line.matches(['M', 'L']).count();
    let paths: Vec<usize> = drawn
        .lines()
        .filter(|line| line.contains("class=\"s0\"") && line.contains('L'))
        .map(|line| vertices(&line))
        .collect();
    assert_eq!(paths, [3, 2], "{drawn}");
}

#[test]
fn cells_have_numbers() {
    let pairs = [("cat", "cat"), ("cat", "cat"), ("dog", "cat"), ("cat", "dog")];
    let points: Vec<_> = pairs.iter().map(|(x, y)| (Value::from(*x), Value::from(*y), 0, 0)).collect();
    let drawn = draw(&plot(Template::Confusion, &points));
    for text in [">2</text>", ">1</text>", ">0</text>", ">workspace, a.csv<", ">cat<", ">dog<"] {
        assert!(drawn.contains(text), "{text}: {drawn}");
    }
    let shares = draw(&plot(Template::ConfusionNormalized, &points));
    assert!(shares.contains(">0.67</text>") && shares.contains(">0.33</text>"), "{shares}");
}

#[test]
fn categories_are_bounded() {
    let points: Vec<_> = (0..201).map(|n| (Value::from(n), Value::from(0), 0, 0)).collect();
    let check = |template| check(&plot(template, &points));
    let error = "x has 201 different values, and this template draws at most 200";
    assert_eq!(check(Template::Confusion), Err(error.to_owned()));
    assert_eq!((check(Template::ScatterJitter), check(Template::Linear)), (Ok(()), Ok(())));
}

#[test]
fn copies_of_templates_are_recognized() {
    let template = |text: &str| recognize(&crate::metrics::json::parse(text).unwrap());
    let x = r#""x": {"field": "<DVC_METRIC_X>", "type": "quantitative", "title": "t"}"#;
    let y = r#""y": {"field": "<DVC_METRIC_Y>", "type": "quantitative", "scale": {"zero": false}}"#;
    for (text, expected) in [
        (format!(r#"{{"mark": "line", "encoding": {{{x}, {y}}}}}"#), Some(Template::Simple)),
        (format!(r#"{{"mark": {{"type": "point"}}, "encoding": {{{x}, {y}}}}}"#), Some(Template::Scatter)),
        (format!(r#"{{"mark": "line", "transform": [], "encoding": {{{x}, {y}}}}}"#), None),
        (format!(r#"{{"mark": "area", "encoding": {{{x}, {y}}}}}"#), None),
        (format!(r#"{{"mark": "line", "encoding": {{{x}, "y": {{"aggregate": "mean"}}}}}}"#), None),
        ("[]".to_owned(), None),
        (r#"{"layer": [{"transform": [{"loess": "<DVC_METRIC_Y>"}]}]}"#.to_owned(), Some(Template::Linear)),
        (r#"{"layer": []}"#.to_owned(), None),
    ] {
        assert_eq!(template(&text), expected, "{text}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-c<&0-9.]{0,3}".prop_map(|text| Value::from(text.as_str())),
    ]
}

proptest! {
    #[test]
    fn any_data_can_be_drawn(template in 0..9usize, points in prop::collection::vec((value(), value(), 0..2usize, 0..2usize), 0..12)) {
        let drawn = draw(&plot(Template::NAMES[template].1, &points));
        prop_assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"), "{}", drawn);
        prop_assert!(!drawn.contains("NaN ") && !drawn.contains("inf") && !drawn.contains("\"NaN"), "{}", drawn);
    }

    #[test]
    fn places_are_within_the_frame(values in prop::collection::vec(any::<f64>(), 1..6)) {
        let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        let scale = Linear::nice(finite.iter().copied());
        for value in &finite {
            let place = scale.place(*value);
            prop_assert!((-1e-6..=300.000_001).contains(&place), "{:?} {} {}", scale, value, place);
        }
    }

    #[test]
    fn categories_have_an_order(one in value(), two in value(), three in value()) {
        prop_assert_eq!(ascending(&one, &two), ascending(&two, &one).reverse());
        if ascending(&one, &two).is_le() && ascending(&two, &three).is_le() {
            prop_assert!(ascending(&one, &three).is_le());
        }
    }
}
