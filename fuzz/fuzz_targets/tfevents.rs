//! An event file of TensorBoard, and the chart of what is in it.
#![no_main]

use cml::tensorboard::records::{Next, next};
use cml::tensorboard::{Run, report};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let mut run = Run::default();
    // As a file with its frames, and as what stands in frames, which no checksum keeps from being tried.
    let mut rest = data;
    while let Next::Record(record, length) = next(rest) {
        assert!(length > record.len() && length <= rest.len());
        run.record(record, None);
        rest = &rest[length..];
    }
    for record in data.split(|byte| *byte == 0xff) {
        run.record(record, None);
    }
    run.record(data, Some(3));
    for series in run.scalars.values() {
        assert!(series.count() > 0 && series.line().len() as u64 <= series.count());
    }
    for log in [false, true] {
        let made = report::make(&report::Heading::default(), [(".", &run)].into_iter(), log);
        for picture in made.pictures.iter().filter(|picture| picture.is_chart) {
            let svg = String::from_utf8_lossy(&picture.bytes);
            assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN") && !svg.contains("inf "), "{svg}");
            assert!(!svg.contains("<script"));
        }
        let addresses = vec!["a".to_owned(); made.pictures.len()];
        assert!(!made.markdown(&addresses).contains("<script"));
    }
});
