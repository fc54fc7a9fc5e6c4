//! Flags that come from the environment, as with cosign: `COSIGN_TLOG_UPLOAD=false` is `--tlog-upload=false`.
//!
//! Only for cosign's own commands, and only for flags that cosign has there.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, CommandFactory as _};

use super::args::Cli;

/// cosign's commands, and what ours know besides.
const COMMANDS: [(&[&str], &[&str]); 9] = [
    (&["sign"], &["force"]),
    (&["verify"], &[]),
    (&["generate"], &[]),
    (&["attach", "signature"], &["key", "bundle"]),
    (&["download", "signature"], &[]),
    (&["triangulate"], &[]),
    (&["tree"], &[]),
    (&["clean"], &["key", "dry-run", "allow-clean"]),
    (&["copy"], &[]),
];

/// The command line with the flags of the environment; none where there are none.
///
/// A flag on the command line counts more.
pub(crate) fn with_variables(
    line: &[OsString],
    variable: impl Fn(&str) -> Option<String>,
) -> Option<Vec<OsString>> {
    let words = line.iter().skip(1).map(OsString::as_os_str);
    let (names, ours) = COMMANDS.into_iter().find(|(names, _)| begins(words.clone(), names))?;
    let cli = Cli::command();
    let command = names.iter().try_fold(&cli, |command, name| command.find_subcommand(name))?;
    let begin = names.len() + 1;
    let (before, after) = line.split_at_checked(begin)?;
    let flags = command.get_arguments().filter(|it| !is_written(it, after));
    let added: Vec<OsString> = flags
        .filter_map(|argument| {
            let long = argument.get_long().filter(|it| !ours.contains(it))?;
            let name = format!("COSIGN_{}", long.to_uppercase().replace('-', "_"));
            let value = variable(&name).filter(|it| !it.is_empty())?;
            match argument.get_action() {
                ArgAction::SetTrue => {
                    matches!(value.as_str(), "1" | "t" | "true" | "TRUE" | "True")
                        .then(|| format!("--{long}").into())
                }
                _ => Some(format!("--{long}={value}").into()),
            }
        })
        .collect();
    (!added.is_empty()).then(|| [before, &added, after].concat())
}

fn begins<'a>(words: impl Iterator<Item = &'a OsStr>, names: &[&str]) -> bool {
    words.take(names.len()).eq(names.iter().map(OsStr::new))
}

/// Says whether the flag stands on the command line already.
fn is_written(argument: &Arg, line: &[OsString]) -> bool {
    let words = line.iter().filter_map(|it| it.to_str()).take_while(|it| *it != "--");
    let long = argument.get_long().map(|it| format!("--{it}"));
    let short = argument.get_short().map(|it| format!("-{it}"));
    words.into_iter().any(|word| {
        let name = word.split('=').next();
        long.as_deref() == name && long.is_some()
            || short.as_deref().is_some_and(|it| word.starts_with(it) && !word.starts_with("--"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, variables: &[(&str, &str)]) -> String {
        let words: Vec<OsString> = text.split(' ').map(OsString::from).collect();
        let variable = |name: &str| {
            variables.iter().find(|(it, _)| *it == name).map(|(_, value)| (*value).to_owned())
        };
        let with = with_variables(&words, variable).unwrap_or(words);
        with.join(OsStr::new(" ")).into_string().unwrap()
    }

    #[test]
    fn flags_of_the_environment_come_before_those_of_the_line() {
        let variables =
            [("COSIGN_KEY", "a.key"), ("COSIGN_TLOG_UPLOAD", "false"), ("COSIGN_YES", "true")];
        for (text, expected) in [
            ("cs sign img", "cs sign --key=a.key --yes --tlog-upload=false img"),
            ("cs sign --key b.key img", "cs sign --yes --tlog-upload=false --key b.key img"),
            ("cs sign --key=b.key -y img", "cs sign --tlog-upload=false --key=b.key -y img"),
            ("cs verify img", "cs verify --key=a.key img"),
            ("cs clean img", "cs clean img"),
            ("cs attach signature img", "cs attach signature img"),
            ("cs plan", "cs plan"),
        ] {
            assert_eq!(line(text, &variables), expected);
        }
        assert_eq!(
            line("cs sign img", &[("COSIGN_YES", "0"), ("COSIGN_FORCE", "1")]),
            "cs sign img"
        );
    }
}
