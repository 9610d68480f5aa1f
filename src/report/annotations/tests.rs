use super::*;

fn read(text: &str) -> Result<Annotations, Problem> {
    parse(text, Path::new("/work/repo"))
}

fn wrong(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn lines_of_json_are_read_with_what_they_leave_out() {
    let text = "\u{feff}{\"path\":\"src/a.py\",\"line\":3,\"message\":\"unused\"}\n\n\
        {\"file\":\"./b.py\",\"start_line\":1,\"end_line\":2,\"column\":4,\"message\":\"m\",\"level\":\"error\",\"title\":\"E1\",\"x\":0}\n\
        {\"path\":\"/work/repo/c.py\",\"line\":5,\"column\":2,\"end_column\":7,\"message\":\"m\",\"severity\":\"NOTE\"}\n\
        {\"path\":\"/elsewhere/d.py\",\"message\":\"m\"}\n{\"path\":\"../up.py\",\"message\":\"m\"}\n";
    let read = read(text).unwrap();
    assert_eq!((read.found.len(), read.elsewhere), (3, 2));
    let [a, b, c] = &read.found[..] else { unreachable!() };
    assert_eq!((a.path.as_str(), a.start_line, a.end_line, a.level), ("src/a.py", 3, 3, Level::Warning));
    assert_eq!((b.path.as_str(), b.end_line, b.columns, b.level), ("b.py", 2, None, Level::Error));
    assert_eq!(b.title.as_deref(), Some("E1"));
    assert_eq!((c.path.as_str(), c.columns, c.level), ("c.py", Some((2, 7)), Level::Note));
    assert_eq!(super::parse("", Path::new("/")).unwrap(), Annotations::default());
}

#[test]
fn what_is_wrong_is_named_with_its_line() {
    let good = "{\"path\":\"a\",\"line\":1,\"message\":\"m\"}\n";
    for (bad, says) in [
        ("{\"path\":\"a\"}", "line 2: message is missing"),
        ("{\"message\":\"m\"}", "line 2: path is missing"),
        ("{\"path\":\"a\",\"message\":\"m\",\"line\":0}", "line 2: line is not a positive integer"),
        ("{\"path\":\"a\",\"message\":\"m\",\"line\":\"1\"}", "line 2: line is not a positive integer"),
        ("{\"path\":\"a\",\"message\":\"m\",\"line\":3,\"end_line\":2}", "line 2: end_line is before line"),
        (
            "{\"path\":\"a\",\"message\":\"m\",\"level\":\"bad\"}",
            "line 2: unknown level 'bad', expected error, warning or note",
        ),
        ("[1]", "line 2: not an object such as {\"path\": …, \"line\": …, \"message\": …}"),
    ] {
        assert_eq!(wrong(&format!("{good}{bad}\n")), says);
    }
    assert!(wrong(&format!("{good}{{")).starts_with("line 2: not JSON"));
    assert!(wrong("{\n\"runs\": [\n}").starts_with("line 3: not JSON"));
    assert_eq!(wrong("{\"runs\":[],\"version\":\"1.0.0\"}"), "SARIF 1.0.0 is not supported, only 2.1.0");
    assert_eq!(wrong("{\"runs\":[]}"), "a SARIF file without a version");
    assert_eq!(wrong("{\"$schema\":\"s\"}"), "a SARIF file without runs");
    assert_eq!(wrong("{\"version\":\"2.1.0\",\"runs\":{}}"), "the runs of the SARIF file are not a list");
}

#[test]
fn sarif_is_read_with_its_rules_bases_and_suppressions() {
    let place = |uri: Value, region: Value| serde_json::json!([{ "physicalLocation": { "artifactLocation": uri, "region": region } }]);
    let base = |name: &str| serde_json::json!({ "uri": "src/my%20file.py", "uriBaseId": name });
    let log = serde_json::json!({ "version": "2.1.0", "runs": [{
        "tool": { "driver": { "name": "t", "rules": [
            { "id": "R1", "defaultConfiguration": { "level": "error" }, "messageStrings": { "d": { "text": "no {0}, {1}" } } },
        ] } },
        "originalUriBaseIds": {
            "ROOT": { "uri": "file:///work/repo/" }, "SUB": { "uri": "sub/", "uriBaseId": "ROOT" },
            "CIRCLE": { "uriBaseId": "CIRCLE" }, "FAR": { "uri": "file:///usr/lib/" },
        },
        "artifacts": [{ "location": { "uri": "file:///work/repo/from/list.py" } }],
        "results": [
            { "ruleId": "R1", "message": { "id": "d", "arguments": ["a", "b"] },
              "locations": place(base("ROOT"), serde_json::json!({ "startLine": 2, "startColumn": 3, "endColumn": 9 })) },
            { "ruleIndex": 0, "level": "note", "message": { "text": "two" },
              "locations": place(base("SUB"), serde_json::json!({ "startLine": 2, "endLine": 4, "startColumn": 3 })) },
            { "message": { "text": "three" }, "locations": place(serde_json::json!({ "index": 0 }), Value::Null) },
            { "message": { "text": "four" }, "locations": place(base("CIRCLE"), Value::Null) },
            { "message": { "text": "far" }, "locations": place(base("FAR"), Value::Null) },
            { "message": { "text": "nowhere" } },
            { "message": { "text": "known" }, "suppressions": [{ "kind": "inSource" }], "locations": place(base("ROOT"), Value::Null) },
            { "message": { "text": "fine" }, "kind": "pass", "locations": place(base("ROOT"), Value::Null) },
        ],
    }] });
    let read = read(&log.to_string()).unwrap();
    assert_eq!((read.found.len(), read.elsewhere), (4, 2));
    let [one, two, three, four] = &read.found[..] else { unreachable!() };
    assert_eq!((one.path.as_str(), one.message.as_str(), one.level), ("src/my file.py", "no a, b", Level::Error));
    assert_eq!((one.start_line, one.columns, one.title.as_deref()), (2, Some((3, 8)), Some("R1")));
    assert_eq!((two.path.as_str(), two.end_line, two.columns), ("sub/src/my file.py", 4, None));
    assert_eq!((two.level, two.title.as_deref()), (Level::Note, Some("R1")));
    assert_eq!((three.path.as_str(), three.start_line, three.level), ("from/list.py", 1, Level::Warning));
    assert_eq!(four.path, "src/my file.py");
}

#[test]
fn rules_are_found_where_the_reference_says() {
    let at = |line: u32| serde_json::json!([{ "physicalLocation": { "artifactLocation": { "uri": "train.py" }, "region": { "startLine": line } } }]);
    let rule = |id: &str, level: &str| serde_json::json!({ "id": id, "guid": format!("guid-{id}"), "defaultConfiguration": { "level": level } });
    let log = serde_json::json!({ "version": "2.1.0", "runs": [{
        "tool": {
            "driver": { "name": "CodeQL", "rules": [rule("cli/a", "error"), rule("cli/b", "error"), rule("over", "error")] },
            "extensions": [
                { "name": "queries", "guid": "g1", "rules": [rule("py/note", "note"), rule("py/bad", "error")],
                  "globalMessageStrings": { "all": { "text": "for all: {0}" } } },
                { "name": "more", "rules": [{ "id": "CA1", "defaultConfiguration": { "level": "note" }, "messageStrings": { "m": { "text": "{1} {0} {{0}} {9}" } } }] },
            ],
        },
        "invocations": [{ "ruleConfigurationOverrides": [
            { "descriptor": { "id": "over" }, "configuration": { "level": "note" } },
        ] }],
        "results": [
            { "rule": { "id": "py/note", "index": 0, "toolComponent": { "index": 0 } }, "message": { "text": "index [here](1) [x](y)" }, "locations": at(1) },
            { "ruleId": "py/note", "rule": { "index": 0, "toolComponent": { "name": "queries" } }, "message": { "text": "name" }, "locations": at(2) },
            { "rule": { "guid": "guid-py/note" }, "message": { "text": "guid" }, "locations": at(3) },
            { "rule": { "index": 0, "toolComponent": { "guid": "g1" } }, "message": { "id": "all", "arguments": ["{1}", "b"] }, "locations": at(4) },
            { "ruleId": "CA1/sub/part", "message": { "id": "m", "arguments": ["{1}", "{0}"] }, "locations": at(5) },
            { "ruleId": "py/note", "ruleIndex": 0, "message": { "text": "the number is of another rule" }, "locations": at(6) },
            { "ruleId": "over", "message": { "text": "overridden {0}" }, "locations": at(7) },
        ],
    }] });
    let read = read(&log.to_string()).unwrap();
    let found: Vec<_> =
        read.found.iter().map(|a| (a.start_line, a.level, a.title.as_deref().unwrap(), a.message.as_str())).collect();
    assert_eq!(
        found,
        [
            (1, Level::Note, "py/note", "index here [x](y)"),
            (2, Level::Note, "py/note", "name"),
            (3, Level::Note, "py/note", "guid"),
            (4, Level::Note, "py/note", "for all: {1}"),
            (5, Level::Note, "CA1/sub/part", "{0} {1} {0} {9}"),
            (6, Level::Note, "py/note", "the number is of another rule"),
            (7, Level::Note, "over", "overridden {0}"),
        ]
    );
}

#[test]
fn files_are_found_in_every_form_of_their_address() {
    let of = |uri: &str, base: Option<&str>| {
        let log = serde_json::json!({ "version": "2.1.0", "runs": [{
            "originalUriBaseIds": { "ROOTPATH": { "uri": "file:///" }, "PROJECT": { "uri": "file:/work/repo/" }, "HIDDEN": {} },
            "results": [
                { "message": { "text": "m" }, "locations": [{ "physicalLocation": { "artifactLocation": { "uri": uri, "uriBaseId": base } } }] },
                { "baselineState": "absent", "message": { "text": "fixed" }, "locations": [{ "physicalLocation": { "artifactLocation": { "uri": "a.py" } } }] },
            ],
        }] });
        read(&log.to_string()).unwrap().found.first().map(|found| found.path.clone())
    };
    for (uri, base) in [
        ("a%20b.py", None),
        ("./a%20b.py", Some("%SRCROOT%")),
        ("a%20b.py", Some("ROOTPATH")),
        ("a%20b.py", Some("PROJECT")),
        ("a%20b.py", Some("HIDDEN")),
        ("file:a%20b.py", None),
        ("file:/work/repo/a%20b.py", None),
        ("FILE:///work/repo/a%20b.py", Some("PROJECT")),
        ("file://localhost/work/repo/a%20b.py", None),
        ("/work/repo/a%20b.py", None),
    ] {
        assert_eq!(of(uri, base).as_deref(), Some("a b.py"), "{uri} {base:?}");
    }
    for uri in
        ["file:../a.py", "file:/elsewhere/a.py", "file:///C:/a.py", "https://a.b/c.py", "jar:file:a.py", "file://"]
    {
        assert_eq!(of(uri, None), None, "{uri}");
    }
}

#[test]
fn windows_paths_are_below_their_root() {
    let root = Path::new("C:\\work\\repo");
    assert_eq!(place::in_repository("C:\\work\\repo\\a\\b.py", root).unwrap(), "a/b.py");
    assert_eq!(place::in_repository("file:///C:/work/repo/a/b.py", root).unwrap(), "a/b.py");
    assert_eq!(place::in_repository("file:/C:/work/repo/a/b.py", root).unwrap(), "a/b.py");
    assert_eq!(place::in_repository("C:/work/repository/b.py", root), None);
    assert_eq!(place::in_repository("https://example.org/a", root), None);
}

proptest::proptest! {
    #[test]
    fn whatever_a_file_has_is_read_or_refused(text in "[ -~\n]{0,200}") {
        let _ = read(&text);
    }

    #[test]
    fn paths_never_leave_the_repository(path in "[a-c./\\\\:%2ef]{0,30}") {
        if let Some(found) = place::in_repository(&path, Path::new("/work/repo")) {
            proptest::prop_assert!(!found.starts_with('/') && found.split('/').all(|p| !p.is_empty() && p != ".." && p != "."));
        }
    }

    #[test]
    fn what_is_written_as_a_line_is_read_as_it_was(path in "[a-z]{1,8}(/[a-z]{1,8}){0,3}", line in 1u32.., message in "[a-z \"\\\\\n]{0,20}x") {
        let text = serde_json::json!({ "path": path, "line": line, "message": message }).to_string();
        let read = read(&text).unwrap();
        proptest::prop_assert_eq!((&read.found[0].path, read.found[0].start_line, &read.found[0].message), (&path, line, &message));
    }
}
