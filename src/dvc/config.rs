//! DVC's configuration: `.dvc/config`, and `.dvc/config.local` over it.
//! <https://dvc.org/doc/user-guide/project-structure/configuration>

use std::collections::BTreeMap;

/// The settings of a project, by section and key.
#[derive(Debug, Default)]
pub struct Config(BTreeMap<(String, String), String>);

impl Config {
    /// Adds the settings of a file, which go before the earlier ones.
    pub fn add(&mut self, text: &str) {
        let mut section = String::new();
        for line in text.lines().map(str::trim) {
            if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
                // ['remote "name"']
                section = name.trim().trim_matches('\'').to_owned();
            } else if !line.starts_with(['#', ';'])
                && let Some((key, value)) = line.split_once('=')
            {
                let value = value.trim().trim_matches(['"', '\'']).to_owned();
                self.0.insert((section.clone(), key.trim().to_ascii_lowercase()), value);
            }
        }
    }

    /// Returns a setting.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.0.get(&(section.to_owned(), key.to_owned()))?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    /// Returns a setting of a remote.
    pub fn of_remote(&self, name: &str, key: &str) -> Option<&str> {
        self.get(&format!("remote \"{name}\""), key)
    }

    /// Returns the name of the default remote.
    pub fn default_remote(&self) -> Option<&str> {
        self.get("core", "remote")
    }

    /// Returns the folder of the cache, where it is another than the usual one.
    pub fn cache_folder(&self) -> Option<&str> {
        self.get("cache", "dir")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn settings_of_a_machine_go_before_those_of_the_project() {
        let mut config = Config::default();
        config.add(
            "[core]\n    remote = x\n['remote \"x\"']\n    url = s3://b/p?a=b\n    region = \"eu-west-1\"\n# dir = no\n[cache]\n    dir = ../../shared\n",
        );
        config.add("['remote \"x\"']\nurl = /tmp/there\nAccess_Key_Id =\n");
        assert_eq!((config.default_remote(), config.cache_folder()), (Some("x"), Some("../../shared")));
        assert_eq!(config.of_remote("x", "url"), Some("/tmp/there"));
        assert_eq!(config.of_remote("x", "region"), Some("eu-west-1"));
        assert_eq!((config.of_remote("x", "access_key_id"), config.of_remote("y", "url")), (None, None));
    }

    proptest! {
        #[test]
        fn no_text_is_too_much(text in "\\PC{0,80}|([\\[\\]='\"a-z \n]{0,80})") {
            Config::default().add(&text);
        }
    }
}
