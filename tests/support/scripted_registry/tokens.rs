//! Who may: anonymous, Basic, or tokens of a token server at `/token`.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::form_urlencoded;

use super::{Answer, Asked, World};

/// How the registry knows its clients.
#[derive(Clone, Debug)]
pub enum Auth {
    Anonymous,
    Basic { user: String, password: String },
    Bearer(Bearer),
}

/// A token server and what it gives.
#[derive(Clone, Debug)]
pub struct Bearer {
    /// Without, nobody is anonymous.
    pub anonymous_actions: Option<&'static str>,
    /// Who gets every action that is asked for.
    pub user: Option<(String, String)>,
    /// Who gets them too.
    pub identity_token: Option<String>,
    /// Gives less than was asked for; without, refuses.
    pub gives_subset: bool,
    /// `expires_in`, and how long a token really lasts.
    pub lasts: Duration,
    /// Another place for the token server.
    pub realm: Option<String>,
    /// Put before the name of the repository in scopes.
    pub scope_prefix: &'static str,
}

impl Default for Bearer {
    fn default() -> Self {
        Self {
            anonymous_actions: Some("pull,push,delete"),
            user: None,
            identity_token: None,
            gives_subset: true,
            lasts: Duration::from_secs(300),
            realm: None,
            scope_prefix: "",
        }
    }
}

#[derive(Debug, Default)]
pub struct Tokens {
    /// Each with its scope and its end.
    given: Mutex<BTreeMap<String, (String, Instant)>>,
    count: Mutex<u64>,
}

impl Tokens {
    pub fn revoke(&self) {
        self.given.lock().unwrap().clear();
    }
}

/// An answer that refuses, if these headers do not allow `action` on `repository`.
pub fn refusal(
    world: &World,
    headers: &HeaderMap,
    repository: &str,
    action: &str,
) -> Option<Answer> {
    let sent = headers.get("authorization").and_then(|it| it.to_str().ok());
    let challenge = match &world.options.auth {
        Auth::Anonymous => return None,
        Auth::Basic { user, password } => {
            let expected = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            if sent == Some(expected.as_str()) {
                return None;
            }
            "Basic realm=\"scripted\"".to_owned()
        }
        Auth::Bearer(bearer) => {
            let name = format!("{}{repository}", bearer.scope_prefix);
            let token = sent.and_then(|it| it.strip_prefix("Bearer ")).unwrap_or_default();
            let given = world.tokens.given.lock().unwrap();
            if let Some((scope, end)) = given.get(token)
                && *end > Instant::now()
                && let Some((_, actions)) =
                    scope.rsplit_once(':').filter(|(it, _)| *it == format!("repository:{name}"))
                && actions.split(',').any(|it| it == action)
            {
                return None;
            }
            let realm = bearer.realm.clone().unwrap_or_else(|| format!("{}/token", world.origin));
            format!(
                r#"Bearer realm="{realm}",service="scripted",scope="repository:{name}:{action}""#
            )
        }
    };
    let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
    Some(Answer {
        status: 401,
        headers: vec![
            ("www-authenticate", challenge),
            ("content-type", "application/json".to_owned()),
        ],
        body: body.into(),
    })
}

/// The token server.
pub fn token(world: &World, asked: &Asked) -> Answer {
    let Auth::Bearer(bearer) = &world.options.auth else { return plain(404, "") };
    let form = if asked.method == "POST" { asked.body.as_ref() } else { asked.query.as_bytes() };
    let form: BTreeMap<String, String> = form_urlencoded::parse(form).into_owned().collect();
    let scope = form.get("scope").cloned().unwrap_or_default();
    let basic = asked.headers.get("authorization").and_then(|it| it.to_str().ok());
    let allowed = if asked.method == "POST" {
        let good = form.get("grant_type").is_some_and(|it| it == "refresh_token")
            && form.get("refresh_token") == bearer.identity_token.as_ref();
        if good { "pull,push,delete" } else { return denied(401) }
    } else if let Some(basic) = basic {
        let user = bearer.user.as_ref();
        let expected = user.map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        let good = basic.strip_prefix("Basic ") == expected.as_deref() && expected.is_some();
        if good { "pull,push,delete" } else { return denied(401) }
    } else {
        match bearer.anonymous_actions {
            Some(actions) => actions,
            None => return denied(401),
        }
    };
    let (name, wanted) = scope.rsplit_once(':').unwrap_or_default();
    let given: Vec<_> =
        wanted.split(',').filter(|it| allowed.split(',').any(|allowed| allowed == *it)).collect();
    if !bearer.gives_subset && given.len() < wanted.split(',').count() {
        return denied(403);
    }
    let mut count = world.tokens.count.lock().unwrap();
    *count += 1;
    let token = format!("token-{count}");
    let granted = (format!("{name}:{}", given.join(",")), Instant::now() + bearer.lasts);
    world.tokens.given.lock().unwrap().insert(token.clone(), granted);
    let seconds = bearer.lasts.as_secs();
    plain(200, &format!(r#"{{"token":"{token}","expires_in":{seconds}}}"#))
}

fn denied(status: u16) -> Answer {
    plain(status, r#"{"errors":[{"code":"DENIED","message":"requested access is denied"}]}"#)
}

fn plain(status: u16, body: &str) -> Answer {
    Answer {
        status,
        headers: vec![("content-type", "application/json".to_owned())],
        body: body.to_owned().into(),
    }
}
