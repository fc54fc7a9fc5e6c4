//! What the reader makes: sections of the language whose keys and types are right. Pure.

use std::fmt;

use crate::spec::place::Place;
use crate::spec::table::Table;

/// A text of the spec and where it stands.
///
/// Printing it gives what is *written*: the value of a variable may come from the environment, and no
/// message may show it.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) value: String,
    pub(super) expanded: bool,
    /// Where it stands.
    pub(super) place: Place,
}

impl Text {
    /// What it means, with the variables filled in.
    pub(super) fn value(&self) -> &str {
        &self.value
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quotes = ['"', '\''];
        let shown =
            if self.expanded { self.place.written().trim_matches(quotes) } else { &self.value };
        write!(f, "`{shown}`")
    }
}

/// A table of the spec whose keys and types are right.
#[derive(Debug)]
pub(super) struct Section {
    pub(super) table: &'static Table,
    pub(super) values: Values,
    /// Where it begins: its header, or the whole of an inline table.
    pub(super) place: Place,
}

/// The keys that are there: few, so that a list is smaller and faster than a tree.
#[derive(Debug, Default)]
pub(super) struct Values(Vec<(&'static str, Entry)>);

impl Values {
    pub(super) fn get(&self, key: &str) -> Option<&Entry> {
        self.0.iter().find(|(it, _)| *it == key).map(|(_, entry)| entry)
    }

    /// Adds a key; what was guessed gives way to what is written.
    pub(super) fn insert(&mut self, key: &'static str, entry: Entry) {
        match self.0.iter_mut().find(|(it, _)| *it == key) {
            Some((_, there)) if matches!(there.value, Value::Refused) => *there = entry,
            Some(_) => {}
            None => self.0.push((key, entry)),
        }
    }
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Place,
    pub(super) place: Place,
    pub(super) value: Value,
}

#[derive(Debug)]
pub(super) enum Value {
    Flag(bool),
    Integer(i64),
    Number(f64),
    Named(Vec<(Text, Section)>),
    Pairs(Vec<(Text, Text)>),
    Section(Box<Section>),
    Sections(Vec<Section>),
    /// It was there, but wrong, and that has been reported.
    Refused,
    Text(Text),
    Texts(Vec<Text>),
}

impl Section {
    fn entry(&self, key: &str) -> Option<&Entry> {
        debug_assert!(self.table.field(key).is_some(), "{} has no key {key}", self.table.name);
        self.values.get(key)
    }

    /// Says whether the key is there, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// Where the key stands; the table where it is missing.
    pub(super) fn key_place(&self, key: &str) -> &Place {
        self.entry(key).map_or(&self.place, |entry| &entry.key)
    }

    /// Where the value stands; the table where it is missing.
    pub(super) fn value_place(&self, key: &str) -> &Place {
        self.entry(key).map_or(&self.place, |entry| &entry.place)
    }

    pub(super) fn text(&self, key: &str) -> Option<&Text> {
        let Value::Text(text) = &self.entry(key)?.value else { return None };
        Some(text)
    }

    pub(super) fn texts(&self, key: &str) -> Option<&[Text]> {
        let Value::Texts(texts) = &self.entry(key)?.value else { return None };
        Some(texts)
    }

    pub(super) fn flag(&self, key: &str) -> Option<bool> {
        let Value::Flag(flag) = self.entry(key)?.value else { return None };
        Some(flag)
    }

    pub(super) fn integer(&self, key: &str) -> Option<i64> {
        let Value::Integer(number) = self.entry(key)?.value else { return None };
        Some(number)
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let Value::Number(number) = self.entry(key)?.value else { return None };
        Some(number)
    }

    pub(super) fn pairs(&self, key: &str) -> &[(Text, Text)] {
        let Some(Value::Pairs(pairs)) = self.entry(key).map(|it| &it.value) else { return &[] };
        pairs
    }

    pub(super) fn named(&self, key: &str) -> &[(Text, Self)] {
        let Some(Value::Named(named)) = self.entry(key).map(|it| &it.value) else { return &[] };
        named
    }

    pub(super) fn section(&self, key: &str) -> Option<&Self> {
        let Value::Section(section) = &self.entry(key)?.value else { return None };
        Some(section)
    }

    /// Says whether the value is a list of tables, empty or not.
    pub(super) fn is_list(&self, key: &str) -> bool {
        matches!(self.entry(key).map(|it| &it.value), Some(Value::Sections(_)))
    }

    pub(super) fn sections(&self, key: &str) -> &[Self] {
        let Some(Value::Sections(found)) = self.entry(key).map(|it| &it.value) else { return &[] };
        found
    }
}
