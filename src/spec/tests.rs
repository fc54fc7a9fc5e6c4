mod attacks;
mod files;
mod hostile;
mod identity;
mod keys;
mod language;
mod meaning;

use std::collections::BTreeMap;

use crate::keys::Environment;
use crate::model::Secret;
use crate::spec::{LoadOptions, MemoryFiles, Problems, Spec};

/// A spec that is right, to put something behind.
const GOOD: &str = r#"version = 1
[signers.release]
key = "cosign.key"
transparency_log = false
[defaults]
sign_with = ["release"]
"#;

const DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

#[derive(Debug, Default)]
struct Variables(BTreeMap<String, String>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.0.get(name).cloned().map(Secret::new)
    }

    fn prompt_password(&self, _: &str) -> Option<Secret<String>> {
        None
    }
}

/// A world to load a spec in.
#[derive(Default)]
struct World {
    files: MemoryFiles,
    environment: Variables,
    options: LoadOptions,
}

impl World {
    fn new(spec: &str) -> Self {
        let files =
            MemoryFiles::from([("countersign.toml", spec), ("cosign.key", ""), ("old.key", "")]);
        Self { files, ..Self::default() }
    }

    fn file(mut self, path: &str, content: &str) -> Self {
        self.files.add(path, content);
        self
    }

    fn set(mut self, name: &str, value: &str) -> Self {
        self.environment.0.insert(name.to_owned(), value.to_owned());
        self
    }

    fn allow(mut self, text: &str) -> Self {
        self.options.allow_env.push(text.parse().unwrap());
        self
    }

    fn variable(mut self, name: &str, value: &str) -> Self {
        self.options.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn untrusted(mut self) -> Self {
        self.options.untrusted = crate::spec::Untrusted::Yes;
        self
    }

    fn load(&self) -> Result<Spec, Problems> {
        self.load_files(&["countersign.toml"])
    }

    fn load_files(&self, paths: &[&str]) -> Result<Spec, Problems> {
        Spec::load(paths, &self.files, &self.environment, &self.options)
    }

    /// Codes and lines of everything that is wrong: `["unknown_key 3"]`; nothing for a good spec.
    fn problems(&self) -> Vec<String> {
        match self.load() {
            Ok(spec) => short(&spec.warnings),
            Err(problems) => short(&problems),
        }
    }

    fn spec(&self) -> Spec {
        self.load().unwrap_or_else(|problems| panic!("{}", all(&problems)))
    }
}

fn short(problems: &Problems) -> Vec<String> {
    let line = |it: Option<(u32, u32)>| it.map(|(line, _)| format!(" {line}")).unwrap_or_default();
    let name =
        |it: &crate::spec::Problem| it.code().as_str().trim_start_matches("spec::").to_owned();
    problems.iter().map(|it| name(it) + &line(it.position())).collect()
}

/// Everything that a user could see of the problems.
fn all(problems: &Problems) -> String {
    let mut text = serde_json::to_string_pretty(problems).unwrap();
    for problem in problems {
        let mut rendered = String::new();
        miette::NarratableReportHandler::new().render_report(&mut rendered, problem).unwrap();
        text.push_str(&rendered);
        text.push_str(&format!("{problem} {problem:?}"));
    }
    text
}

/// Loads `GOOD` with each text behind it, and compares what is wrong. Lines count from the text's first.
fn table(cases: &[(&str, &[&str])]) {
    let above = u32::try_from(GOOD.lines().count()).unwrap();
    for (text, expected) in cases {
        let world = World::new(&format!("{GOOD}{text}"));
        let found = match world.load() {
            Ok(spec) => spec.warnings,
            Err(problems) => problems,
        };
        let relative: Vec<String> = found
            .iter()
            .map(|it| {
                let name = it.code().as_str().trim_start_matches("spec::").to_owned();
                let line = it.position().map_or(0, |(line, _)| i64::from(line) - i64::from(above));
                format!("{name} {line}")
            })
            .collect();
        assert_eq!(&relative, expected, "{text}\n{}", all(&found));
    }
}
