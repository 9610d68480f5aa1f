//! Whose comment it is, and that nobody's words are lost. The program is real; the forges are the fakes, which say with each
//! comment who wrote it and, where asked to, let nobody change another's.

use crate::support::fake::{Comment, Forge, Kind, Target, Vendor};
use crate::support::{Cml, VENDORS};

const ON: Target = Target::Pull(7);
const MARK: &str = "![](https://cml.dev/watermark.png#aa \"CML watermark\")";
const HUMAN: &str = "octocat";
const BOT: &str = "cml-bot";

const UPDATE: &[&str] = &["comment", "update", "report.md"];
const SECTION: &[&str] = &["comment", "update", "--section", "a", "report.md"];
const DELETE: &[&str] = &["comment", "create", "--delete-previous", "report.md"];

fn live(forge: &Forge, vendor: Vendor) -> Vec<Comment> {
    forge.live_comments(vendor, &ON)
}

fn with_id(forge: &Forge, vendor: Vendor, id: u64) -> Option<String> {
    live(forge, vendor).into_iter().find(|comment| comment.id == id).map(|comment| comment.body)
}

#[test]
fn a_persons_comment_is_neither_overwritten_nor_deleted() {
    for vendor in VENDORS {
        for body in [
            format!("On Friday the bot wrote:\n> Accuracy 0.97\n>\n> {MARK}\n"),
            format!("> {MARK}\n\nI disagree"),
            format!("> > {MARK}"),
            format!("```\n{MARK}\n```"),
            format!("the line {MARK} marks it"),
            format!("I took this from the bot\n\n{MARK}"),
        ] {
            for args in [UPDATE, SECTION, DELETE] {
                let forge = Forge::start();
                let id = forge.seed_comment(vendor, &ON, HUMAN, &body);
                let cml = Cml::on(&forge, vendor);
                for _ in 0..2 {
                    cml.run(args).ok();
                    assert_eq!(with_id(&forge, vendor, id).as_ref(), Some(&body), "{vendor:?} {args:?}");
                    assert_eq!(live(&forge, vendor).len(), 2, "{vendor:?} {args:?}");
                }
            }
        }
    }
}

#[test]
fn the_tokens_own_comments_go_before_those_of_others() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let own = forge.seed_comment(vendor, &ON, BOT, &format!("old\n\n{MARK}"));
        let other = forge.seed_comment(vendor, &ON, HUMAN, &format!("mine\n\n{MARK}"));
        Cml::on(&forge, vendor).run(UPDATE).ok();
        assert!(with_id(&forge, vendor, own).unwrap().starts_with("# Report"), "{vendor:?}");
        assert!(with_id(&forge, vendor, other).unwrap().starts_with("mine"), "{vendor:?}");
        assert_eq!(live(&forge, vendor).len(), 2);
    }
}

#[test]
fn nobody_asks_for_the_user_while_one_program_wrote_all() {
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.seed_comment(vendor, &ON, "project_42_bot_0123", &format!("old\n\n{MARK}"));
        forge.seed_comment(vendor, &ON, HUMAN, "a word");
        Cml::on(&forge, vendor).run(UPDATE).ok();
        assert_eq!(forge.requests().len(), 2, "{}", forge.transcript());
    }
}

#[test]
fn a_job_token_of_github_takes_no_persons_comment_and_asks_nobody() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    cml.set("REPO_TOKEN", "ghs_good");
    forge.seed_comment(Vendor::GitHub, &ON, "evil-bot", &format!("mine\n\n{MARK}"));
    cml.run(UPDATE).ok();
    assert_eq!(live(&forge, Vendor::GitHub).len(), 2);
    let bot = forge.seed_comment(Vendor::GitHub, &ON, "github-actions[bot]", &format!("old\n\n{MARK}"));
    forge.clear_requests();
    // The fake writes as a person: the bot's comment is the only one that the token can have made.
    cml.run(UPDATE).ok();
    assert!(with_id(&forge, Vendor::GitHub, bot).unwrap().starts_with("# Report"));
    assert!(forge.requests().iter().all(|request| !request.path.ends_with("/user")), "{}", forge.transcript());
}

#[test]
fn where_the_earlier_comment_may_not_be_changed_a_new_one_is_made() {
    for vendor in VENDORS {
        for args in [UPDATE, SECTION] {
            let forge = Forge::start();
            forge.configure(|switches| switches.only_own = true);
            let old = forge.seed_comment(vendor, &ON, "project_77_bot_old", &format!("OLD\n\n{MARK}"));
            let cml = Cml::on(&forge, vendor);
            let ran = cml.run(args);
            assert!(ran.stderr.contains("the token is not allowed to change the earlier comment"), "{ran:#?}");
            let first = ran.ok();
            assert!(with_id(&forge, vendor, old).unwrap().starts_with("OLD"));
            cml.file("report.md", "second");
            let ran = cml.run(args);
            assert!(!ran.stderr.contains("warning"), "{vendor:?} {args:?} {ran:#?}");
            assert_eq!(ran.ok(), first, "{vendor:?} {args:?}");
            assert_eq!(live(&forge, vendor).len(), 2, "{vendor:?} {args:?}");
        }
    }
}

#[test]
fn sections_of_a_comment_that_may_not_be_changed_move_to_the_new_one() {
    let forge = Forge::start();
    forge.configure(|switches| switches.only_own = true);
    let body = format!("[cml-section]: # \"begin b\"\n\nof b\n\n[cml-section]: # \"end b\"\n\n{MARK}");
    forge.seed_comment(Vendor::GitLab, &ON, "project_77_bot_old", &body);
    Cml::on(&forge, Vendor::GitLab).run(SECTION).ok();
    let new = live(&forge, Vendor::GitLab).remove(1).body;
    assert!(new.contains("of b") && new.contains("# Report"), "{new}");
}

#[test]
fn an_earlier_comment_that_may_not_be_deleted_is_a_warning() {
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.configure(|switches| switches.only_own = true);
        forge.seed_comment(vendor, &ON, "project_77_bot_old", &format!("OLD\n\n{MARK}"));
        let ran = Cml::on(&forge, vendor).run(DELETE);
        assert!(ran.stderr.contains("warning: the token is not allowed to delete the earlier comment"), "{ran:#?}");
        let id = live(&forge, vendor)[1].id.to_string();
        assert!(ran.ok().trim().ends_with(&id), "{vendor:?}");
    }
}

#[test]
fn a_list_without_its_last_page_is_read_to_its_end() {
    for vendor in VENDORS {
        let forge = Forge::start();
        forge.configure(|switches| switches.omit_totals = true);
        forge.seed_comments(vendor, &ON, 250);
        let id = forge.seed_comment(vendor, &ON, BOT, &format!("old\n\n{MARK}"));
        forge.seed_comments(vendor, &ON, 250);
        Cml::on(&forge, vendor).run(UPDATE).ok();
        assert_eq!(live(&forge, vendor).len(), 501, "{vendor:?}");
        assert!(with_id(&forge, vendor, id).unwrap().starts_with("# Report"), "{vendor:?}");
    }
}

#[test]
fn a_list_that_does_not_end_is_an_error() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let (headers, body): (&[(&str, &str)], _) = match vendor {
            Vendor::GitHub => (
                &[("Link", "<http://127.0.0.1/x?page=2>; rel=\"next\"")],
                r#"[{"id": 1, "html_url": "x", "body": "x", "created_at": "2026-01-01T00:00:00Z"}]"#,
            ),
            Vendor::GitLab => {
                (&[("X-Next-Page", "2")], r#"[{"id": 1, "body": "x", "created_at": "2026-01-01T00:00:00Z"}]"#)
            }
            Vendor::Bitbucket => (
                &[],
                r#"{"values": [{"id": 1, "content": {"raw": "x"}, "created_on": "2026-01-01T00:00:00Z"}], "next": "x"}"#,
            ),
        };
        forge.fault("GET *", 999, Kind::answer(200, headers, body));
        let error = format!("the list of comments on {vendor:?} does not end (*)");
        Cml::on(&forge, vendor).run(UPDATE).fails(
            9,
            &error,
            "this is a fault of the server or of a proxy; try again later",
        );
        assert!(forge.requests().len() < 5, "{}", forge.transcript());
    }
}

#[test]
fn an_answer_that_is_no_list_is_said_to_be_unexpected() {
    for vendor in VENDORS {
        for body in ["<html>proxy</html>", "null", "{}"] {
            let forge = Forge::start();
            forge.fault("GET *", 999, Kind::answer(200, &[("Content-Type", "text/html")], body));
            let ran = Cml::on(&forge, vendor).run(UPDATE);
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(9), ""), "{vendor:?} {body}: {ran:#?}");
            assert!(!ran.stderr.contains("client failed"), "{ran:#?}");
        }
    }
}

#[test]
fn a_title_that_is_too_long_is_refused_before_anything_is_sent() {
    let forge = Forge::start();
    let mut cml = Cml::on(&forge, Vendor::GitHub);
    let long = "x".repeat(120_000);
    let error = "the title of the watermark has 120000 characters, more than the limit of 1000";
    let hint = "use a shorter --watermark-title (for a check: --title)";
    cml.run(&["comment", "create", "--watermark-title", &long, "report.md"]).fails(2, error, hint);
    cml.run(&["check", "create", "--comment", "--title", &long, "report.md"]).fails(
        2,
        "*characters, more than the limit of 1000*",
        hint,
    );
    cml.set("GITHUB_WORKFLOW", &long);
    cml.run(&["comment", "update", "--watermark-title", "{workflow}", "report.md"]).fails(2, error, hint);
    assert_eq!(forge.requests().len(), 0, "{}", forge.transcript());
}

#[test]
fn what_a_report_leaves_open_swallows_neither_the_mark_nor_a_section() {
    for vendor in VENDORS {
        for open in ["```\ncode", "<!-- note", "<pre>\nx", "<details><summary>s</summary>\n\nx"] {
            let forge = Forge::start();
            let cml = Cml::on(&forge, vendor);
            for (name, text) in [("a", open), ("b", "of b")] {
                cml.file("report.md", text);
                cml.run(&["comment", "update", "--section", name, "report.md"]).ok();
            }
            cml.file("report.md", open);
            for _ in 0..2 {
                cml.run(UPDATE).ok();
            }
            assert_eq!(live(&forge, vendor).len(), 1, "{vendor:?}: {:#?}", live(&forge, vendor));
            let body = live(&forge, vendor).remove(0).body;
            let mut html = String::new();
            pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new_ext(&body, cml::report::dialect()));
            assert!(html.contains("<p>of b</p>") && !html.contains("cml-section"), "{html}");
            assert_eq!(html.matches("<details>").count(), html.matches("</details>").count());
        }
    }
}

#[test]
fn labels_and_footnotes_of_a_section_mean_nothing_in_another() {
    let forge = Forge::start();
    let cml = Cml::on(&forge, Vendor::GitHub);
    for (name, text) in [
        ("a", "![plot] n[^1]\n\n[plot]: https://x.example/a.png\n[0.91]: https://x.example/\n\n[^1]: note of a\n"),
        ("b", "score [0.91] ![plot] n[^1]\n\n[plot]: https://x.example/b.png\n\n[^1]: note of b\n"),
    ] {
        cml.file("report.md", text);
        for _ in 0..2 {
            cml.run(&["comment", "update", "--section", name, "report.md"]).ok();
        }
    }
    let body = live(&forge, Vendor::GitHub).remove(0).body;
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, pulldown_cmark::Parser::new_ext(&body, cml::report::dialect()));
    assert!(html.contains("score [0.91] <img src=\"https://x.example/b.png\""), "{html}");
    assert!(html.contains("note of a") && html.contains("note of b"), "{html}");
}

#[test]
fn the_first_section_replaces_a_report_written_whole() {
    for vendor in VENDORS {
        let forge = Forge::start();
        let cml = Cml::on(&forge, vendor);
        cml.file("report.md", format!("old report\n\n{}", "word ".repeat(14_000)));
        cml.run(UPDATE).ok();
        cml.file("report.md", "of a");
        cml.run(SECTION).ok();
        let all = live(&forge, vendor);
        assert_eq!(all.len(), 1, "{vendor:?}: its continuations go, too");
        assert!(all[0].body.contains("of a") && !all[0].body.contains("old report"), "{vendor:?}");
        // What a person puts around sections stays.
        let body = format!("Template\n\n{}", all[0].body);
        forge.repo(vendor, vendor.slug(), |repo| repo.comment_mut(all[0].id).unwrap().body = body);
        cml.file("report.md", "of a, again");
        cml.run(SECTION).ok();
        let body = live(&forge, vendor).remove(0).body;
        assert!(body.starts_with("Template\n\n") && body.contains("of a, again"), "{vendor:?}: {body}");
    }
}
