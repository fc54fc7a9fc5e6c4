//! Kubeconfig files, merged as kubectl merges them. Pure: it is given the texts.
//!
//! Source: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files"; client-go's `clientcmd`.

use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

use crate::model::Secret;

/// One file: where it is, for the paths in it, and what it says.
pub(super) struct File {
    folder: PathBuf,
    content: Yaml,
}

/// Where the cluster is, and who we are to it: what the current context names.
#[derive(Default)]
pub(super) struct Context {
    pub(super) server: String,
    pub(super) authority: Option<Content>,
    pub(super) skips_verify: bool,
    pub(super) server_name: Option<String>,
    pub(super) certificate: Option<Content>,
    pub(super) key: Option<Content>,
    pub(super) token: Option<Secret<String>>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) user: Option<(String, Secret<String>)>,
    pub(super) exec: Option<Exec>,
}

/// A PEM text, or the file that holds it.
pub(super) enum Content {
    File(PathBuf),
    /// In base64.
    Inline(Secret<String>),
}

/// A program that prints credentials.
pub(super) struct Exec {
    pub(super) api_version: String,
    /// A name to look up on `PATH`, or a path.
    pub(super) command: PathBuf,
    pub(super) arguments: Vec<String>,
    pub(super) variables: Vec<(String, String)>,
    pub(super) wants_cluster: bool,
    pub(super) install_hint: Option<String>,
}

impl File {
    /// Reads the text of the file at `path`. The error does not quote it.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, String> {
        let wrong = || format!("{} is no kubeconfig", path.display());
        let mut documents = YamlLoader::load_from_str(text).map_err(|_| wrong())?;
        let content = if documents.is_empty() { Yaml::Null } else { documents.swap_remove(0) };
        if !matches!(content, Yaml::Hash(_) | Yaml::Null) {
            return Err(wrong());
        }
        Ok(Self { folder: path.parent().unwrap_or(Path::new("")).to_owned(), content })
    }
}

/// What the current context means; `None` where no file names one: then the program runs in a cluster, or nowhere.
pub(super) fn current(files: &[File]) -> Result<Option<Context>, String> {
    let names = files.iter().filter_map(|it| text(&it.content, "current-context"));
    let Some(name) = names.into_iter().find(|it| !it.is_empty()) else { return Ok(None) };
    let (_, context) = entry(files, "contexts", "context", &name)?;
    let part = |key: &str| {
        text(context, key).ok_or_else(|| format!("the context `{name}` names no {key}"))
    };
    let (cluster_file, cluster) = entry(files, "clusters", "cluster", &part("cluster")?)?;
    let (user_file, user) = entry(files, "users", "user", &part("user")?)?;
    for (section, key, help) in [
        (cluster, "proxy-url", "set HTTPS_PROXY instead"),
        (user, "auth-provider", "use an `exec` plugin instead"),
        (user, "as", "impersonation is not taken"),
    ] {
        if section.as_hash().is_some_and(|it| it.contains_key(&Yaml::String(key.into()))) {
            return Err(format!("the context `{name}` has `{key}`: {help}"));
        }
    }
    let server = text(cluster, "server").filter(|it| !it.is_empty());
    let secret = |key: &str| text(user, key).filter(|it| !it.is_empty()).map(Secret::new);
    let exec = match &user["exec"] {
        Yaml::BadValue | Yaml::Null => None,
        section => Some(exec(section, &user_file.folder)?),
    };
    Ok(Some(Context {
        server: server.ok_or_else(|| format!("the cluster of `{name}` has no server"))?,
        authority: content(cluster, "certificate-authority", &cluster_file.folder),
        skips_verify: cluster["insecure-skip-tls-verify"].as_bool().unwrap_or(false),
        server_name: text(cluster, "tls-server-name").filter(|it| !it.is_empty()),
        certificate: content(user, "client-certificate", &user_file.folder),
        key: content(user, "client-key", &user_file.folder),
        token: secret("token"),
        token_file: text(user, "tokenFile").map(|it| user_file.folder.join(it)),
        user: text(user, "username").map(|name| {
            let password = secret("password").unwrap_or_else(|| Secret::new(String::new()));
            (name, password)
        }),
        exec,
    }))
}

/// The first entry of that name in all files.
fn entry<'a>(
    files: &'a [File],
    list: &str,
    key: &str,
    name: &str,
) -> Result<(&'a File, &'a Yaml), String> {
    let all = files.iter().flat_map(|file| {
        file.content[list].as_vec().into_iter().flatten().map(move |entry| (file, entry))
    });
    let mut named = all.filter(|(_, entry)| entry["name"].as_str() == Some(name));
    let found = named.next().map(|(file, entry)| (file, &entry[key]));
    found.ok_or_else(|| format!("the kubeconfig has no `{name}` in {list}"))
}

/// `NAME-data` before `NAME`, which is relative to its file.
fn content(section: &Yaml, name: &str, folder: &Path) -> Option<Content> {
    let set = |key: &str| text(section, key).filter(|it| !it.is_empty());
    let inline = set(&format!("{name}-data")).map(|it| Content::Inline(Secret::new(it)));
    inline.or_else(|| Some(Content::File(folder.join(set(name)?))))
}

fn exec(section: &Yaml, folder: &Path) -> Result<Exec, String> {
    let command = text(section, "command").ok_or("an `exec` plugin has no command")?;
    let texts = |key: &str| section[key].as_vec().cloned().unwrap_or_default();
    let variables = texts("env");
    Ok(Exec {
        api_version: text(section, "apiVersion").unwrap_or_default(),
        // Only what has a slash is a path, and that is relative to its file.
        command: if command.contains('/') { folder.join(command) } else { command.into() },
        arguments: texts("args").iter().filter_map(scalar).collect(),
        variables: variables
            .iter()
            .filter_map(|it| Some((text(it, "name")?, text(it, "value")?)))
            .collect(),
        wants_cluster: section["provideClusterInfo"].as_bool().unwrap_or(false),
        install_hint: text(section, "installHint").filter(|it| !it.is_empty()),
    })
}

fn text(section: &Yaml, key: &str) -> Option<String> {
    scalar(&section[key])
}

/// A text; YAML takes some for numbers.
fn scalar(value: &Yaml) -> Option<String> {
    match value {
        Yaml::String(text) | Yaml::Real(text) => Some(text.clone()),
        Yaml::Integer(number) => Some(number.to_string()),
        Yaml::Boolean(value) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, text: &str) -> File {
        File::parse(Path::new(path), text).unwrap()
    }

    #[test]
    fn the_first_file_that_says_something_wins() {
        let first = file(
            "/a/config",
            "contexts: [{name: prod, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {token: first, client-certificate: u.pem}}]\n",
        );
        let second = file(
            "/b/config",
            "current-context: prod\nclusters: [{name: c, cluster: {server: 'https://c', certificate-authority: ca.pem}}]\nusers: [{name: u, user: {token: second}}]\n",
        );
        let context = current(&[first, second]).unwrap().unwrap();
        assert_eq!(context.server, "https://c");
        assert_eq!(context.token.unwrap().expose(), "first");
        assert!(
            matches!(context.authority, Some(Content::File(it)) if it == Path::new("/b/ca.pem"))
        );
        assert!(
            matches!(context.certificate, Some(Content::File(it)) if it == Path::new("/a/u.pem"))
        );
        assert!(context.key.is_none() && !context.skips_verify);
    }

    #[test]
    fn what_is_missing_or_not_taken_is_told_without_quoting() {
        assert!(current(&[]).unwrap().is_none());
        assert!(current(&[file("/a", "")]).unwrap().is_none());
        for (text, expected) in [
            ("current-context: x", "no `x` in contexts"),
            ("current-context: x\ncontexts: [{name: x, context: {user: u}}]", "names no cluster"),
            (
                "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: s, proxy-url: p}}]\nusers: [{name: u, user: {}}]",
                "HTTPS_PROXY",
            ),
            (
                "current-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\nclusters: [{name: c, cluster: {server: s}}]\nusers: [{name: u, user: {exec: {}}}]",
                "has no command",
            ),
        ] {
            let error = current(&[file("/a", text)]).err().unwrap();
            assert!(error.contains(expected), "{error}");
        }
        for text in ["hunter2", "a: [hunter2", "- hunter2"] {
            let error = File::parse(Path::new("/a"), text).err().unwrap();
            assert_eq!(error, "/a is no kubeconfig");
        }
    }

    #[test]
    fn a_command_with_a_slash_is_relative_to_its_file() {
        let text = |command: &str| {
            format!(
                "current-context: x\ncontexts: [{{name: x, context: {{cluster: c, user: u}}}}]\nclusters: [{{name: c, cluster: {{server: s}}}}]\nusers: [{{name: u, user: {{exec: {{command: {command}, args: [a, 1], env: [{{name: A, value: b}}]}}}}}}]"
            )
        };
        for (command, expected) in [("aws", "aws"), ("./bin/x", "/a/./bin/x"), ("/x", "/x")] {
            let context = current(&[file("/a/config", &text(command))]).unwrap().unwrap();
            let exec = context.exec.unwrap();
            assert_eq!(exec.command, Path::new(expected));
            assert_eq!(exec.arguments, ["a", "1"]);
            assert_eq!(exec.variables, [("A".to_owned(), "b".to_owned())]);
        }
    }
}
