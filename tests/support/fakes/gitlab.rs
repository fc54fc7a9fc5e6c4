//! GitLab's CI/CD variables of projects and groups.
//!
//! Source: docs.gitlab.com/api/project_level_variables, …/group_level_variables, and what gitlab.com answers for what it
//! hides.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use super::key::random;
use super::service::{Answers, Asked, Service};

/// A GitLab with one project, `acme/signing`, whose id is 42, and one group, `acme`, whose id is 7.
///
/// Both have the same variables.
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
        let path = asked.path().strip_prefix("/api/v4/").unwrap_or_default();
        let mut parts = path.splitn(3, '/');
        let (kind, owner, rest) = (parts.next(), parts.next().unwrap_or_default(), parts.next());
        let not_found = |what: &str| (404, json!({ "message": format!("404 {what} Not Found") }));
        let variable = match kind {
            Some("projects") if ["42", "acme%2Fsigning"].contains(&owner) => "Variable",
            Some("projects") => return not_found("Project"),
            Some("groups") if ["7", "acme"].contains(&owner) => "GroupVariable",
            Some("groups") => return not_found("Group"),
            _ => return (404, json!({ "error": "404 Not Found" })),
        };
        let Some(rest) = rest else { return (200, json!({ "id": 42, "name": owner })) };
        if token == self.developer {
            return (403, json!({ "message": "403 Forbidden" }));
        }
        let mut variables = self.variables.lock().unwrap();
        match (asked.method.as_str(), rest.strip_prefix("variables")) {
            ("GET", Some(name)) if name.starts_with('/') => match variables.get(&name[1..]) {
                Some(variable) => (200, variable.clone()),
                None => not_found(variable),
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
