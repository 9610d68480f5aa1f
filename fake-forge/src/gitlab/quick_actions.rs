//! GitLab's quick actions, as its own source finds them: carriage returns go first; then each line of a paragraph that begins
//! with `/`, the name of an action in either case, and a blank or the line's end, is carried out and taken out of the text.
//! Lines that lazily continue a quote or an item are carried out too, as by GitLab before 15.9.

use pulldown_cmark::{Event, Options, Parser, Tag};

use super::super::state::{PullState, Repo, Target};

/// What GitLab's Markdown has besides CommonMark: <https://docs.gitlab.com/user/markdown/>.
const DIALECT: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_GFM)
    .union(Options::ENABLE_MATH);
/// Some of the actions that GitLab knows.
const NAMES: [&str; 16] = [
    "approve",
    "assign",
    "assign_reviewer",
    "cc",
    "close",
    "draft",
    "label",
    "lock",
    "merge",
    "ready",
    "rebase",
    "reopen",
    "shrug",
    "tag",
    "target_branch",
    "title",
];

impl Repo {
    /// The same for tests.
    pub fn perform_actions(&mut self, target: &Target, text: &str) -> String {
        perform(self, target, text)
    }
}

/// Carries out the actions in a text about a target. Gives the text without them, as GitLab stores it.
pub fn perform(repo: &mut Repo, target: &Target, text: &str) -> String {
    let text = text.replace('\r', "");
    let lines = paragraphs(&text);
    let mut stored = String::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match action(line).filter(|_| lines.contains(&number)) {
            Some(name) => carry_out(repo, target, &name, line.trim_end()),
            None => stored.push_str(line),
        }
    }
    stored.trim_end().to_owned()
}

/// The numbers of the lines of all paragraphs.
fn paragraphs(text: &str) -> Vec<usize> {
    let number = |at: usize| text[..at].matches('\n').count();
    Parser::new_ext(text, DIALECT)
        .into_offset_iter()
        .filter(|(event, _)| matches!(event, Event::Start(Tag::Paragraph)))
        .flat_map(|(_, range)| number(range.start)..=number(range.end.saturating_sub(1)))
        .collect()
}

fn action(line: &str) -> Option<String> {
    let name = line.strip_prefix('/')?.split(char::is_whitespace).next()?.to_lowercase();
    NAMES.contains(&name.as_str()).then_some(name)
}

fn carry_out(repo: &mut Repo, target: &Target, name: &str, line: &str) {
    repo.actions.push(line.to_owned());
    let Target::Pull(number) = target else { return };
    let Some(pull) = repo.pulls.get_mut(number) else { return };
    match name {
        "merge" => (pull.state, pull.merge_sha) = (PullState::Merged, Some(pull.head_sha.clone())),
        "close" => pull.state = PullState::Closed,
        _ => {}
    }
}
