use super::proto::{Event, Metadata, PluginData, SessionLog, Summary, Tensor, Value};
use super::*;
use prost::Message;

fn event(step: i64, tag: &str, value: f32) -> Vec<u8> {
    let value = Value { tag: tag.to_owned(), simple_value: Some(value), ..Value::default() };
    let summary = Some(Summary { value: vec![value] });
    Event { wall_time: step as f64, step, summary, ..Event::default() }.encode_to_vec()
}

fn start(step: i64) -> Vec<u8> {
    Event { step, session_log: Some(SessionLog { status: 1 }), ..Event::default() }.encode_to_vec()
}

fn values(run: &Run, tag: &str) -> Vec<(i64, f64)> {
    run.scalars[tag].line().iter().map(|point| (point.step, point.value)).collect()
}

#[test]
fn a_restart_takes_back_what_came_after_its_step() {
    let mut run = Run::default();
    for step in 0..5 {
        run.record(&event(step, "loss", step as f32), None);
    }
    run.record(&event(4, "late", 1.0), None);
    assert_eq!(run.record(&start(2), None), Taken::Yes);
    run.record(&event(2, "loss", -1.0), None);
    assert_eq!(values(&run, "loss"), [(0, 0.0), (1, 1.0), (2, -1.0)]);
    let loss = &run.scalars["loss"];
    assert_eq!((loss.min().unwrap().step, loss.max().unwrap().step, loss.count()), (2, 1, 3));
    assert!(!run.scalars.contains_key("late"));
}

#[test]
fn many_points_are_thinned_and_the_outstanding_ones_kept() {
    let mut run = Run::default();
    let peak = 12_345;
    for step in 0..100_000 {
        let value = if step == peak { 9.0 } else { (step % 7) as f32 };
        run.record(&event(step, "x", if step == 777 { f32::NAN } else { value }), None);
    }
    let series = &run.scalars["x"];
    let line = series.line();
    assert!(
        line.len() <= crate::charts::series::KEPT + 3
            && line.len() > crate::charts::series::KEPT / 2
            && line.is_sorted_by_key(|p| p.step)
    );
    assert_eq!((series.max().unwrap().step, series.last().unwrap().step, series.count()), (peak, 99_999, 100_000));
    assert!(line.iter().any(|point| point.step == peak));
    // What was forgotten cannot be taken back, unless nothing is.
    assert_eq!(run.record(&start(100_000), None), Taken::Yes);
    assert_eq!(run.record(&start(50), None), Taken::Restart(50));
    let mut again = Run::default();
    for step in 0..100_000 {
        again.record(&event(step, "x", step as f32), Some(50));
    }
    assert_eq!((again.record(&start(50), None), again.scalars["x"].count()), (Taken::Yes, 50));
}

#[test]
fn tensors_are_scalars_where_the_plugin_says_so() {
    let tensor = |dtype, content: &[u8]| Tensor { dtype, content: content.to_vec(), ..Tensor::default() };
    let plugin = |name: &str| Some(Metadata { plugin_data: Some(PluginData { plugin_name: name.to_owned() }) });
    let record = |tag: &str, metadata, tensor| {
        let value = Value { tag: tag.to_owned(), tensor: Some(tensor), metadata, ..Value::default() };
        Event { summary: Some(Summary { value: vec![value] }), ..Event::default() }.encode_to_vec()
    };
    let mut run = Run::default();
    run.record(&record("a", plugin("scalars"), tensor(1, &1.5f32.to_le_bytes())), None);
    // The plugin is told once.
    run.record(&record("a", None, tensor(2, &2.5f64.to_le_bytes())), None);
    run.record(&record("a", None, Tensor { dtype: 19, half: vec![0x3c00], ..Tensor::default() }), None);
    run.record(&record("a", None, tensor(9, &7i64.to_le_bytes())), None);
    run.record(&record("text", plugin("text"), tensor(1, &1f32.to_le_bytes())), None);
    run.record(&record("odd", plugin("scalars"), tensor(7, b"x")), None);
    assert_eq!(values(&run, "a").iter().map(|(_, value)| *value).collect::<Vec<_>>(), [1.5, 2.5, 1.0, 7.0]);
    assert_eq!(run.scalars.len(), 1);
    assert_eq!(run.record(b"\xff\xff", None), Taken::NotAnEvent);
}

#[test]
fn a_chart_goes_on_where_the_values_are_not_numbers() {
    let mut run = Run::default();
    for step in 0..50 {
        run.record(&event(step, "loss", if step < 30 { 1.0 / (step + 1) as f32 } else { f32::NAN }), None);
        let value = [f32::NEG_INFINITY, 1.0, f32::INFINITY][(step / 20) as usize];
        run.record(&event(step, "odd", value), None);
    }
    let named = || [(".", &run)].into_iter();
    let made = report::make(&report::Heading::default(), named(), false);
    let svg = |n: usize| String::from_utf8(made.pictures[n].bytes.clone()).unwrap();
    // 50 steps over 560 units: step 29 is at 395.4, where the line ends, step 49 at the right edge.
    let loss = svg(0);
    assert!(loss.contains("L395.4 ") && loss.contains(">40</text>"), "{loss}");
    assert_eq!(loss.matches("l6 6m0 -6l-6 6").count(), 2, "{loss}");
    assert!(loss.contains("M403.9 293.0l6 6") && loss.contains("M621.0 293.0l6 6"), "{loss}");
    let odd = svg(1);
    assert!(odd.contains("M61.0 293.0l6 6") && odd.contains("M621.0 41.0l6 6"), "{odd}");
    assert!(!loss.contains("NaN") && !odd.contains("inf"));
}

#[test]
fn a_chart_has_a_line_for_each_run_and_nothing_of_the_names_escapes() {
    let mut runs = vec![Run::default(); 3];
    for (n, run) in runs.iter_mut().enumerate() {
        for step in 0..20 {
            let value = if step == 10 { f32::NAN } else { (n as f32 + 1.0) * step as f32 };
            run.record(&event(step, "a<b>&\"|*\n", value), None);
        }
    }
    runs[2].record(&event(0, "one", 1.0), None);
    let named = || [".", "train", "x_y|z"].into_iter().zip(&runs);
    let made = report::make(&report::Heading { title: Some("T"), description: None }, named(), false);
    let svg = String::from_utf8(made.pictures[0].bytes.clone()).unwrap();
    assert_eq!(svg.matches("stroke-linejoin").count(), 3);
    assert_eq!(svg.matches("d=\"M64.0").count(), 4, "each begins at the left, as the marks do");
    assert!(svg.contains("a&lt;b&gt;&amp;&quot;|*\u{fffd}") && !svg.contains("<b>") && !svg.contains("NaN"), "{svg}");
    assert!(String::from_utf8_lossy(&made.pictures[1].bytes).contains("<circle"));
    let text = made.markdown(&["u1".to_owned(), "u2".to_owned()]);
    assert!(text.starts_with("## T\n\n| tag | run | last | min | max |\n"), "{text}");
    assert!(
        text.contains("| a\\<b\\>\\&\"\\|\\*  | x\\_y\\|z | 57 (step 19) | 0 (step 0) | 57 (step 19) |\n"),
        "{text}"
    );
    assert!(text.ends_with("![one](u2)\n"), "{text}");
}
