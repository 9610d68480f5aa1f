//! Addresses of ClearML's pages.

use super::config::Server;

/// The version of the API since which the pages of a task are below `tasks`.
const TASKS: (u32, u32) = (2, 31);

/// The pages of one server.
#[derive(Debug, Clone)]
pub struct Links {
    web: Option<String>,
    /// What the pages of a task are below of.
    word: &'static str,
}

impl Links {
    /// Returns the pages of a server whose API has this version, if that is known.
    pub fn new(server: &Server, version: Option<(u32, u32)>) -> Self {
        // Newer pages know the older form, not the other way round.
        let word = if version.is_some_and(|version| version >= TASKS) { "tasks" } else { "experiments" };
        Links { web: server.web.clone(), word }
    }

    /// Returns a tab of a task's page, such as `log`, `scalars`, `plots` or `debugImages`; `None` where the pages are not known.
    pub fn task(&self, project: &str, task: &str, tab: &str) -> Option<String> {
        let project = if project.is_empty() { "*" } else { project };
        // `output/log` is the form that pages of both generations know.
        let tab = if tab == "log" { "output/log" } else { tab };
        Some(format!("{}/projects/{project}/{}/{task}/{tab}", self.web.as_ref()?, self.word))
    }

    /// Returns the page that compares the scalars of some tasks.
    pub fn compare(&self, tasks: &[&str]) -> Option<String> {
        Some(format!("{}/projects/*/compare-tasks;ids={}/scalars/max-values", self.web.as_ref()?, tasks.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_generations_of_pages_have_their_addresses() {
        let api = url::Url::parse("https://api.x.org").unwrap();
        let server = |web: Option<&str>| Server { api: api.clone(), web: web.map(str::to_owned), files: None };
        let task = |version| Links::new(&server(Some("https://app.x.org")), version).task("p", "t", "log").unwrap();
        assert_eq!(task(Some((2, 30))), "https://app.x.org/projects/p/experiments/t/output/log");
        assert_eq!(task(Some((2, 31))), "https://app.x.org/projects/p/tasks/t/output/log");
        let links = Links::new(&server(Some("https://app.x.org")), None);
        assert_eq!(links.task("", "t", "plots").unwrap(), "https://app.x.org/projects/*/experiments/t/plots");
        assert_eq!(
            links.compare(&["a", "b"]).unwrap(),
            "https://app.x.org/projects/*/compare-tasks;ids=a,b/scalars/max-values"
        );
        assert_eq!(Links::new(&server(None), None).compare(&[]), None);
    }
}
