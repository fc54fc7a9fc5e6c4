//! Variables: `${NAME}`, `${env:NAME}` and the literal `$${`, filled into texts after parsing. Pure.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};

use toml::de::{DeTable, DeValue};

use crate::spec::access::Access;
use crate::spec::code::Code;
use crate::spec::place::Place;
use crate::spec::problem::{Problem, Problems};
use crate::spec::suggest::nearest;

/// What all texts with variables may hold together: a small file must not fill the memory.
const BUDGET: usize = 64 << 20;

/// Fills variables into texts.
pub(super) struct Expander<'a> {
    variables: BTreeMap<String, String>,
    budget: Cell<usize>,
    used: RefCell<BTreeSet<String>>,
    access: &'a Access<'a>,
}

/// A piece of a text.
enum Piece<'t> {
    Literal(&'t str),
    /// `${` without `}`, or nothing between them.
    Malformed(&'t str),
    Variable {
        name: &'t str,
        written: &'t str,
    },
}

impl<'a> Expander<'a> {
    /// Knows these variables.
    pub(super) fn new(variables: BTreeMap<String, String>, access: &'a Access<'a>) -> Self {
        Self { variables, budget: Cell::new(BUDGET), used: RefCell::default(), access }
    }

    /// The text with its variables filled in: borrowed where there were none, and only then.
    pub(super) fn expand<'t>(
        &self,
        text: &'t str,
        place: &Place,
        problems: &mut Problems,
    ) -> Option<Cow<'t, str>> {
        if !text.contains("${") {
            return Some(Cow::Borrowed(text));
        }
        let mut filled = Some(String::with_capacity(text.len()));
        for piece in pieces(text) {
            let value = match piece {
                Piece::Literal(literal) => Some(Cow::Borrowed(literal)),
                Piece::Malformed(written) => {
                    let problem = Problem::error(
                        Code::Variable,
                        &place.part(written),
                        "a variable is written `${NAME}`",
                    );
                    problems.refuse(
                        problem
                            .label("no variable")
                            .help("close it with `}`, or write `$${` for a literal `${`"),
                    )
                }
                Piece::Variable { name, written } => {
                    self.variable(name, &place.part(written), problems)
                }
            };
            let left = self.budget.get().checked_sub(value.as_ref().map_or(0, |it| it.len()));
            self.budget.set(left.unwrap_or_default());
            match (&mut filled, value, left) {
                (Some(filled), Some(value), Some(_)) => filled.push_str(&value),
                (_, Some(_), None) => {
                    let message = "the texts are longer than 64 MiB with their variables";
                    return problems.refuse(Problem::error(Code::Variable, place, message));
                }
                _ => filled = None,
            }
        }
        filled.map(Cow::Owned)
    }

    fn variable(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<Cow<'_, str>> {
        if let Some(name) = name.strip_prefix("env:") {
            return self.access.variable(name, place, problems).map(Cow::Owned);
        }
        if let Some(value) = self.variables.get(name) {
            self.used.borrow_mut().insert(name.to_owned());
            return Some(Cow::Borrowed(value));
        }
        let help = match nearest(name, self.variables.keys().map(String::as_str)) {
            Some(near) => format!("did you mean `${{{near}}}`?"),
            None => format!(
                "give it with `--var {name}=…`, or a default in the first file: [variables] {name} = \"…\""
            ),
        };
        let problem = Problem::error(
            Code::UnknownVariable,
            place,
            format!("the variable `{name}` has no value"),
        );
        problems.refuse(problem.label("unknown variable").help(help))
    }

    /// Warns of variables from the command line that no text uses.
    pub(super) fn warn_unused(&self, problems: &mut Problems) {
        let used = self.used.borrow();
        for name in self.access.options.variables.keys().filter(|it| !used.contains(*it)) {
            let message = format!("`--var {name}=…` was given, and nothing uses `${{{name}}}`");
            let problem = Problem::warning_without_place(Code::UnusedVariable, message);
            problems.add(
                match nearest(
                    name,
                    self.variables.keys().map(String::as_str).filter(|it| it != name),
                ) {
                    Some(near) => problem.help(format!("did you mean `{near}`?")),
                    None => problem,
                },
            );
        }
    }
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(escaped) = before.strip_suffix('$') {
            pieces.push(Piece::Literal(escaped));
            let (literal, after) = from.split_at("${".len());
            pieces.push(Piece::Literal(literal));
            rest = after;
            continue;
        }
        pieces.push(Piece::Literal(before));
        let inside = from.get("${".len()..).unwrap_or_default();
        let name = inside.split_once('}').map(|(name, _)| name).filter(|name| is_name(name));
        let Some(name) = name else {
            let end = from.find('}').map_or(from.len(), |end| end + 1);
            let (written, after) = from.split_at(end);
            pieces.push(Piece::Malformed(written));
            rest = after;
            continue;
        };
        let (written, after) = from.split_at("${}".len() + name.len());
        pieces.push(Piece::Variable { name, written });
        rest = after;
    }
    pieces.push(Piece::Literal(rest));
    pieces
}

/// Letters, digits, `_`, `-` and `.`, beginning with a letter or `_`; before them perhaps `env:`.
fn is_name(text: &str) -> bool {
    let name = text.strip_prefix("env:").unwrap_or(text);
    let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// Reads a file of variables: TOML with nothing but texts, `NAME = "value"`.
///
/// `None` where it is anything else. Nothing of its content is told: it may be any file.
pub(super) fn parse_file(text: &str) -> Option<BTreeMap<String, String>> {
    let table = DeTable::parse(text).ok()?.into_inner();
    let mut variables = BTreeMap::new();
    for (name, value) in table {
        let (name, DeValue::String(value)) = (name.into_inner(), value.into_inner()) else {
            return None;
        };
        variables.insert(name.into_owned(), value.into_owned());
    }
    Some(variables)
}
