//! What a stranger puts into an artifact or a checkout, met by the action with a token that may write. git is real, the forge is
//! scripted.

use super::GITHUB;
use crate::support::act::Consumer;
use crate::support::fake::{Forge, Target};

/// Turns the current folder into a repository that fetches a missing object when it is asked for an ignored file: by the
/// command of its owner's choice. `INIT` makes the repository.
const FETCHES: &str = r#"
echo 'a,b' > data.csv
echo x > .gitignore
INIT
$git add -f .gitignore
blob=$($git rev-parse :.gitignore)
$git update-index --skip-worktree .gitignore
rm .gitignore "$objects/$(echo "$blob" | cut -c 1-2)/$(echo "$blob" | cut -c 3-)"
config() { git config -f "$objects/../config" "$@"; }
config core.repositoryformatversion 1
config extensions.partialClone evil
config remote.evil.url ssh://x/y
config remote.evil.promisor true
config core.sshCommand "sh -c 'env > $OUT/pwned; exit 1' #"
config core.fsmonitor "sh -c 'env > $OUT/pwned; exit 1' #"
"#;
const NESTED: &str = "git init -q . && git='git' objects=.git/objects";
const BARE: &str = "git init -q --bare . && git='git --git-dir=. --work-tree=.' objects=objects; git config -f config core.bare false; \
                    git config -f config core.worktree .";

fn step(script: &str) -> String {
    let lines: String = script.lines().map(|line| format!("    {line}\n")).collect();
    format!("- shell: bash\n  run: |\n{lines}")
}

#[test]
fn a_repository_in_an_artifact_runs_nothing() {
    for (folder, init) in [("report", NESTED), ("report", BARE), ("report/plots", BARE)] {
        let forge = Forge::start();
        let Some(consumer) = Consumer::on(&forge) else { return };
        let make = format!("set -e\nmkdir -p {folder}\ncd {folder}\n{}", FETCHES.replace("INIT", init));
        let link = if folder == "report" { "data.csv" } else { "plots/data.csv" };
        consumer.steps(&format!(
            "{}{}{}",
            step(&make),
            step(&format!("printf '# Hi\\n\\n[data]({link})\\n' > report/report.md")),
            "- uses: org/setup-cml-rs@v1\n  id: report\n  with: { command: comment update, report: report/report.md }\n"
        ));
        let done = consumer.pull_request().ok();
        assert_eq!(consumer.out("pwned"), "", "{folder} {init}: {done}");
        let body = &forge.live_comments(GITHUB, &Target::Pull(7))[0].body;
        assert!(body.contains(&format!("[data]({link})")), "the file is not published: {body}");
    }
}

#[test]
fn a_report_that_leads_out_of_the_checkout_is_not_posted() {
    for target in ["/proc/self/environ", ".git/config", "/etc/passwd", "/dev/zero"] {
        let forge = Forge::start();
        let Some(consumer) = Consumer::on(&forge) else { return };
        consumer.steps(&format!(
            "- run: ln -sf {target} report.md\n\
             - uses: org/setup-cml-rs@v1\n  id: report\n  with: {{ command: comment update, report: report.md }}\n"
        ));
        let done = consumer.pull_request().failed();
        assert_eq!(done.step("report"), "failure", "{done}");
        assert_eq!(done.summary("report"), "", "{done}");
        let sent = forge.transcript();
        assert!(forge.live_comments(GITHUB, &Target::Pull(7)).is_empty() && !sent.contains("POST"), "{target}: {sent}");
    }
}

#[test]
fn a_report_with_the_token_is_not_posted() {
    let forge = Forge::start();
    let Some(mut consumer) = Consumer::on(&forge) else { return };
    consumer.token = "goodgoodgoodgood".into();
    for text in ["my token: $TOKEN", "$(printf 'x-access-token:%s' \"$TOKEN\" | base64 --wrap=0)"] {
        let write = format!("printf '# Report\\n\\n%s\\n' \"{text}\" > report.md");
        consumer.steps(&format!(
            "{}  env: {{ TOKEN: '${{{{ secrets.GITHUB_TOKEN }}}}' }}\n\
             - uses: org/setup-cml-rs@v1\n  id: report\n  with: {{ command: comment update, report: report.md }}\n",
            step(&write)
        ));
        let done = consumer.refused(GITHUB.slug());
        let (kind, _, told) = done.annotation();
        assert!(kind == "error" && told.contains("is in line 3 of report.md"), "{done}");
        assert!(done.summary("report").is_empty() && forge.requests().is_empty(), "{done} {}", forge.transcript());
    }
}
