//! `cml plots diff`. The program and git are real, and where they are named, DVC and Vega-Lite; the forges are the fakes.

mod projects;
mod vega;

use crate::support::fake::{Forge, Target, Vendor};
use crate::support::net::get;
use crate::support::{Cml, VENDORS, png};

/// Commits what is there.
fn commit(cml: &Cml) {
    if !cml.path().join(".git").exists() {
        cml.git(&["init", "-q"]);
    }
    cml.git(&["add", "."]);
    cml.git(&["commit", "-q", "-m", "some"]);
}

/// A repository on a forge, in which HEAD has these files and the working copy others.
fn repository(forge: &Forge, vendor: Vendor, committed: &[(&str, &str)], changed: &[(&str, &str)]) -> Cml {
    let cml = Cml::on(forge, vendor);
    committed.iter().for_each(|(name, text)| drop(cml.file(name, text)));
    cml.file(".gitignore", "report.md\n.dvc/cache\n*.cached\n");
    commit(&cml);
    changed.iter().for_each(|(name, text)| drop(cml.file(name, text)));
    cml
}

/// The titles and files of the images of a Markdown text.
fn images(markdown: &str) -> Vec<(String, Vec<u8>)> {
    let image = |rest: &str| {
        let (title, rest) = rest.split_once("](").unwrap();
        let answer = get(rest.split(')').next().unwrap());
        assert_eq!(answer.status, 200, "{markdown}");
        (title.to_owned(), answer.body.to_vec())
    };
    markdown.split("![").skip(1).map(image).collect()
}

/// The drawings of the images of a Markdown text.
fn drawings(markdown: &str) -> Vec<(String, String)> {
    images(markdown).into_iter().map(|(title, body)| (title, String::from_utf8(body).unwrap())).collect()
}

const DVC: &str = "\
vars: [{field: loss}]
plots:
  - logs.csv: {x: step, y: '${field}', title: The loss}
  - both: {x: step, y: {logs.csv: [loss, acc], more/logs.tsv: loss}, template: simple}
  - pictures
stages:
  train:
    cmd: x
    plots: [{cm.json: {cache: false, template: confusion, x: actual, y: predicted}}]
";

#[test]
fn every_plot_becomes_an_image_on_every_forge() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let committed = [
            ("dvc.yaml", DVC),
            ("logs.csv", "step,acc,loss\n0,0.1,0.9\n1,0.2,0.8\n"),
            ("more/logs.tsv", "step\tloss\n0\t3\n1\t4\n"),
            ("cm.json", r#"[{"actual": "cat", "predicted": "cat"}, {"actual": "dog", "predicted": "cat"}]"#),
        ];
        let cml = Cml::on(&forge, vendor);
        committed.iter().for_each(|(name, text)| drop(cml.file(name, text)));
        cml.file("pictures/a.png", png(1));
        commit(&cml);
        cml.file("logs.csv", "step,acc,loss\n0,0.1,0.7\n1,0.2,0.6\n2,0.3,0.5\n");
        cml.file("pictures/a.png", png(2));
        cml.file("pictures/new.png", png(3));
        let text = cml.run(&["plots", "diff", "--base", "HEAD", "--md"]).ok();
        let found = images(&text);
        let titles: Vec<&str> = found.iter().map(|(title, _)| title.as_str()).collect();
        let expected = [
            "The loss",
            "both",
            "pictures/a.png, workspace",
            "pictures/a.png, HEAD",
            "pictures/new.png, workspace",
            "cm.json",
        ];
        assert_eq!(titles, expected, "{text}");
        let svg = |at: usize| String::from_utf8(found[at].1.clone()).unwrap();
        let vertices = |at: usize| -> Vec<usize> {
            let svg = svg(at);
            let series = svg.lines().filter(|line| line.starts_with("<path d=\"M") && line.contains('L'));
            series.map(|line| line.matches(['M', 'L']).count()).collect()
        };
        assert!(svg(0).contains(">The loss<") && svg(0).contains(">workspace<") && svg(0).contains(">HEAD<"));
        assert_eq!((vertices(0), vertices(1)), (vec![3, 2], vec![3, 3, 2, 2, 2, 2]), "{}", svg(1));
        assert!(svg(1).contains(">workspace, logs.csv::acc<") && svg(1).contains(">HEAD, more/logs.tsv::loss<"));
        assert_eq!((&found[2].1, &found[3].1), (&png(2), &png(1)));
        assert!(svg(5).contains(">predicted<") && svg(5).contains(">1</text>"), "{}", svg(5));
        let table = "pictures/a.png\n\n| workspace | HEAD |\n| --- | --- |\n| ![pictures/a.png, workspace](";
        assert!(text.contains(table), "{text}");
        // Appended to a report, and again without anything new to publish.
        assert_eq!(cml.run(&["plots", "diff", "--base", "HEAD", "--file", "plots.md"]).ok(), "");
        assert!(images(&cml.read("plots.md")) == images(&text), "{}", cml.read("plots.md"));
        cml.run(&["comment", "update", "plots.md"]).ok();
        let comments = forge.live_comments(vendor, &Target::Pull(7));
        assert!(comments.len() == 1 && comments[0].body.contains("![The loss]("), "{comments:#?}");
    }
}

#[test]
fn a_report_has_the_plots() {
    let forge = Forge::start();
    let logs = |loss: &str| format!("step,loss\n0,1\n1,{loss}\n");
    let declares = "metrics: [m.json]\nplots: [logs.csv]\n";
    let (old, new) = (logs("0.5"), logs("0.4"));
    let committed = [("dvc.yaml", declares), ("logs.csv", old.as_str()), ("m.json", "{\"a\": 1}")];
    let changed = [("logs.csv", new.as_str()), ("m.json", "{\"a\": 2}")];
    let cml = repository(&forge, Vendor::GitHub, &committed, &changed);
    let text = cml.run(&["report", "create", "--base", "HEAD"]).ok();
    assert!(text.contains("**1 metric changed and 1 plot** compared with HEAD"), "{text}");
    assert!(text.contains("### Metrics\n") && text.contains("\n### Plots\n\n![logs.csv]("), "{text}");
    assert!(drawings(&text)[0].1.contains(">HEAD<"), "{text}");
    let some = cml.run(&["report", "create", "--base", "HEAD", "--part", "metrics"]).ok();
    assert!(!some.contains("Plots"), "{some}");
}

#[test]
fn files_plots_and_fields_can_be_named() {
    let forge = Forge::start();
    let logs = "step,acc,loss\n0,0.1,0.9\n1,0.2,0.8\n";
    let committed = [
        ("dvc.yaml", "plots:\n  - logs.csv: {x: step}\n  - roc: {y: {logs.csv: acc}}\n"),
        ("sub/dvc.yaml", "plots:\n  - roc: {y: {other.csv: acc}}\n"),
        ("logs.csv", logs),
        ("sub/other.csv", logs),
        ("free.csv", logs),
        ("bare.tsv", "0\t1\n1\t2\n"),
    ];
    let cml = repository(&forge, Vendor::GitHub, &committed, &[]);
    let titles = |args: &[&str]| -> Vec<String> {
        let text = cml.run(&[&["plots", "diff", "--base", "HEAD"], args].concat()).ok();
        images(&text).into_iter().map(|(title, _)| title).collect()
    };
    assert_eq!(titles(&[]), ["logs.csv", "dvc.yaml::roc", "sub/dvc.yaml::roc"]);
    assert_eq!(titles(&["roc"]), ["dvc.yaml::roc", "sub/dvc.yaml::roc"]);
    assert_eq!(titles(&["sub/dvc.yaml::roc"]), ["roc"]);
    assert_eq!(titles(&["free.csv"]), ["free.csv"]);
    assert_eq!(titles(&["*.csv", "--title", "T"]), ["T", "T"]);
    let one = |args: &[&str]| {
        let text = cml.run(&[&["plots", "diff", "--base", "HEAD"], args].concat()).ok();
        drawings(&text).remove(0).1
    };
    let svg = one(&["free.csv", "-x", "step", "-y", "acc", "-y", "loss", "-t", "scatter", "--x-label", "the x"]);
    assert_eq!((svg.matches("<circle").count(), svg.matches("h5.4v5.4").count()), (2 * 2 + 2, 2 * 2 + 2), "{svg}");
    assert!(svg.contains(">the x<") && svg.contains(">y<") && svg.contains(">HEAD, loss<"), "{svg}");
    assert!(one(&["bare.tsv", "--no-header"]).contains(">1<"));
    assert!(
        one(&["--template", "bar_horizontal", "-x", "loss", "-y", "step", "free.csv"]).contains("<rect class=\"f1\"")
    );
    // As DVC takes them.
    let text = cml.run(&["plots", "diff", "HEAD", "workspace", "--targets", "free.csv"]).ok();
    assert_eq!(images(&text)[0].0, "free.csv");
}

#[test]
fn dvclive_is_drawn_without_a_pipeline() {
    let forge = Forge::start();
    let committed = [
        ("dvclive/plots/metrics/.gitignore", "/lr.tsv\n"),
        ("dvclive/plots/metrics/train/acc.tsv", "step\tacc\n0\t0.1\n1\t0.2\n"),
        (
            "dvclive/plots/sklearn/roc.json",
            r#"{"roc": [{"fpr": 0, "tpr": 0, "threshold": null}, {"fpr": 1, "tpr": 1, "threshold": 0.5}]}"#,
        ),
        ("dvclive/plots/sklearn/confusion_matrix.json", r#"[{"actual": "0", "predicted": "1"}]"#),
    ];
    let cml = repository(&forge, Vendor::GitHub, &committed, &[]);
    let found = drawings(&cml.run(&["plots", "diff", "--base", "HEAD"]).ok());
    let titles: Vec<&str> = found.iter().map(|(title, _)| title.as_str()).collect();
    let folder = "dvclive/plots";
    let expected = ["metrics/train/acc.tsv", "sklearn/confusion\\_matrix.json", "sklearn/roc.json"]
        .map(|name| format!("{folder}/{name}"));
    assert_eq!(titles, expected);
    assert!(found[0].1.contains(">step<") && found[2].1.contains(">fpr<") && found[2].1.contains(">tpr<"));
}

#[test]
fn mistakes_are_named_and_cost_no_request() {
    let forge = Forge::start();
    let csv = "step,acc,name\n0,0.1,x\n1,0.2,y\n";
    let committed = [("dvc.yaml", "plots: [m.csv]\n"), ("m.csv", csv), ("empty.json", "{}")];
    let cml = repository(&forge, Vendor::GitHub, &committed, &[]);
    let run = |args: &[&str]| cml.run(&[&["plots", "diff", "--base", "HEAD"], args].concat());
    let fields = "check x and y of the plot in dvc.yaml, or pass -x and -y";
    run(&[]).fails(
        3,
        "cannot draw the plot m.csv of the working copy: no value of the field 'name' of m.csv is a number",
        fields,
    );
    run(&["-y", "f1"]).fails(
        3,
        "cannot draw the plot m.csv of the working copy: m.csv has no field 'f1': it has step, acc, name",
        fields,
    );
    run(&["empty.json"]).fails(
        3,
        "cannot draw the plot empty.json of the working copy: empty.json: it has no list of tables*",
        fields,
    );
    let many: String = (0..201).map(|n| format!("{n},{n}\n")).collect();
    cml.file("many.csv", format!("a,b\n{many}"));
    run(&["many.csv", "-t", "confusion", "-x", "a"]).fails(
        3,
        "cannot draw the plot many.csv: x has 201 different values, and this template draws at most 200",
        "check x, y and the template of the plot",
    );
    run(&["-y", "acc", "--template", "pie"]).fails(
        3,
        "unknown template 'pie' of the plot m.csv",
        "use one of simple, linear, confusion, confusion_normalized, scatter, scatter_jitter, smooth, bar_horizontal_sorted, bar_horizontal, or add .dvc/plots/pie.json",
    );
    cml.file(".dvc/plots/own.json", r#"{"mark": "area"}"#);
    run(&["-y", "acc", "--template", "own"]).fails(
        7,
        "the template 'own' of the plot m.csv is not one of DVC's own",
        "use one of *; or draw it with `dvc plots diff --targets m.csv --show-vega` and vl2svg",
    );
    cml.file(".dvc/plots/own.json", "{");
    run(&["-y", "acc", "--template", "own"]).fails(3, "the template 'own' of the plot m.csv is not valid JSON: *", "*");
    run(&["--targets", "gone.csv"]).fails(
        3,
        "no plot or file is called gone.csv",
        "name a file, or a plot as dvc.yaml calls it",
    );
    run(&["--targets", "x/*.csv"]).fails(3, "no file matches x/*.csv", "check the pattern: *");
    cml.run(&["plots", "diff", "no-such-branch"]).fails(5, "unknown revision 'no-such-branch'", "*");
    cml.run(&["plots", "diff", "--base", "m.csv"]).fails(
        2,
        "plots are compared with a revision, not with a file or a record",
        "*",
    );
    cml.file("m.csv", "step,acc\n0\n");
    run(&[]).fails(3, "m.csv of the working copy is not valid CSV: *line: 2*", "check the step that writes it");
    std::fs::remove_file(cml.path().join("m.csv")).unwrap();
    let missing = "m.csv, which dvc.yaml declares, does not exist in the working copy";
    run(&[]).fails(3, missing, "run the step that writes it, or `dvc pull m.csv`");
    cml.file("dvc.yaml", "plots: ['${x}.csv']\n");
    let template = "cannot read dvc.yaml of the working copy: plots: cannot resolve ${x}";
    run(&[]).fails(3, template, "`dvc plots show --json` shows what DVC makes of it");
    // Who compares metrics does not need the plots.
    cml.run(&["metrics", "diff", "--base", "HEAD"]).ok();
    assert_eq!(forge.requests().len(), 0);
    let none = repository(&forge, Vendor::GitHub, &[("a.txt", "")], &[]);
    none.run(&["plots", "diff", "--base", "HEAD"]).fails(
        5,
        "no plots: neither dvc.yaml nor dvclive/plots of the working copy has any",
        "declare them under `plots` in dvc.yaml, or name the files: cml plots diff metrics.csv",
    );
}

#[test]
fn plots_that_dvc_keeps_come_from_its_cache() {
    let forge = Forge::start();
    let lock = "schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n    - path: m.csv.cached\n      hash: md5\n      md5: 0123456789abcdef0123456789abcdef\n      size: 9\n";
    let declares = "stages:\n  train:\n    cmd: x\n    plots: [{m.csv.cached: {template: simple}}]\n";
    let committed = [("dvc.yaml", declares), ("dvc.lock", lock), (".dvc/config", "")];
    let cml = repository(&forge, Vendor::GitHub, &committed, &[]);
    let run = || cml.run(&["plots", "diff", "--base", "HEAD"]);
    run().fails(
        3,
        "m.csv.cached of the working copy is in neither git nor DVC's cache (*)",
        "run `dvc pull m.csv.cached` first",
    );
    cml.file("m.csv.cached", "- {a: 1}\n");
    run().fails(
        3,
        "m.csv.cached of HEAD (*) is in neither git nor DVC's cache (*)",
        "run `dvc fetch --all-commits m.csv.cached` first; *",
    );
    assert_eq!(forge.requests().len(), 0);
    cml.file(".dvc/cache/files/md5/01/23456789abcdef0123456789abcdef", "- {a: 1}\n- {a: 2}\n");
    assert_eq!(drawings(&run().ok())[0].0, "m.csv.cached");
}

#[test]
fn texts_of_others_are_no_markdown_and_no_markup() {
    let forge = Forge::start();
    let committed = [
        (
            "dvc.yaml",
            "plots:\n  - m.csv: {title: \"<script>alert(1)</script> ](x) @octocat | `x`\", x_label: '</text><script/>'}\n",
        ),
        ("m.csv", "\"<b>\"\n1\n2\n"),
    ];
    let cml = repository(&forge, Vendor::GitHub, &committed, &[]);
    let text = cml.run(&["plots", "diff", "--base", "HEAD"]).ok();
    assert!(text.starts_with("![\\<script\\>alert(1)\\</script\\> \\](x) \\@\u{200b}octocat \\| \\`x\\`]("), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    let svg = get(text.rsplit_once("](").unwrap().1.trim_end().trim_end_matches(')')).body;
    let svg = String::from_utf8(svg.to_vec()).unwrap();
    assert!(!svg.contains("<script") && svg.contains("&lt;b&gt;"), "{svg}");
}
