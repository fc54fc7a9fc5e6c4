//! GitLab's project-level CI/CD variables.
//!
//! Source: docs.gitlab.com/api/project_level_variables, and what gitlab.com answers for what it hides.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::key::random;
use super::service::{Answers, Asked, Service};

/// A GitLab with one project: `acme/signing`, whose id is 42.
pub struct Gitlab {
    /// The token of a maintainer.
    pub token: String,
    /// The token of a developer, who may not see variables.
    pub developer: String,
    variables: Mutex<BTreeMap<String, Value>>,
}

impl Gitlab {
    /// Starts one without variables.
    pub fn start() -> Service<Self> {
        let [token, developer] = [(); 2].map(|()| format!("glpat-{}", random()));
        Service::start(Self { token, developer, variables: Mutex::default() })
    }

    /// Sets a variable.
    pub fn set(&self, name: &str, value: &str) {
        let variable = json!({
            "variable_type": "env_var", "key": name, "value": value, "protected": false,
            "masked": false, "hidden": false, "raw": false, "environment_scope": "*",
        });
        self.variables.lock().unwrap().insert(name.to_owned(), variable);
    }

    /// What a variable is; `null` where there is none.
    pub fn variable(&self, name: &str) -> Value {
        self.variables.lock().unwrap().get(name).cloned().unwrap_or_default()
    }

    /// Takes a variable away.
    pub fn remove(&self, name: &str) {
        self.variables.lock().unwrap().remove(name);
    }
}

impl Answers for Gitlab {
    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let token = asked.header("private-token");
        if token != self.token && token != self.developer {
            return (401, json!({ "message": "401 Unauthorized" }));
        }
        let path = asked.path().strip_prefix("/api/v4/projects/").unwrap_or_default();
        let Some((project, rest)) = path.split_once('/') else {
            return (404, json!({ "error": "404 Not Found" }));
        };
        if !["42", "acme%2Fsigning"].contains(&project) {
            return (404, json!({ "message": "404 Project Not Found" }));
        }
        if token == self.developer {
            return (403, json!({ "message": "403 Forbidden" }));
        }
        let mut variables = self.variables.lock().unwrap();
        match (asked.method.as_str(), rest.strip_prefix("variables")) {
            ("GET", Some(name)) if name.starts_with('/') => match variables.get(&name[1..]) {
                Some(variable) => (200, variable.clone()),
                None => (404, json!({ "message": "404 Variable Not Found" })),
            },
            ("POST", Some("")) => {
                let variable = asked.json();
                let name = variable["key"].as_str().unwrap().to_owned();
                if variables.contains_key(&name) {
                    return (400, json!({ "message": { "key": ["has already been taken"] } }));
                }
                variables.insert(name, variable.clone());
                (201, variable)
            }
            _ => (404, json!({ "error": "404 Not Found" })),
        }
    }
}
