//! What a table of the language consists of: the reader and the JSON Schema follow the same tables, so
//! that they cannot drift apart. Pure.

/// A table of the language: its keys and what they take.
#[derive(Debug)]
pub(super) struct Table {
    /// Its name in the schema.
    pub(super) name: &'static str,
    /// How a message calls it: "an image".
    pub(super) noun: &'static str,
    /// What it is for.
    pub(super) doc: &'static str,
    /// Its keys.
    pub(super) fields: &'static [Field],
}

impl Table {
    /// The key called `name`.
    pub(super) fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.key == name)
    }

    /// The names of its keys.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.fields.iter().map(|field| field.key)
    }
}

/// A key of a table.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name.
    pub(super) key: &'static str,
    /// What it takes.
    pub(super) kind: Kind,
    /// What it means.
    pub(super) doc: &'static str,
    /// What holds where it is missing, as JSON.
    pub(super) default: Option<&'static str>,
    /// An example value, as TOML, for help texts.
    pub(super) example: &'static str,
    /// Whether the table is wrong without it.
    pub(super) need: Need,
}

/// Whether a table is wrong without a key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Need {
    /// It may be missing.
    Optional,
    /// It must be there.
    Required,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of some of these texts.
    Choices(&'static [&'static str]),
    /// `true` or `false`.
    Flag,
    /// A whole number from one to the other.
    Integer(i64, i64),
    /// A table of tables, by names that the author chooses.
    Named(&'static Table),
    /// A number greater than zero.
    Number,
    /// A table.
    Section(&'static Table),
    /// A list of tables.
    Sections(&'static Table),
    /// A text.
    Text,
    /// A table of texts, by names that the author chooses.
    TextMap,
    /// A text, or a list of texts.
    TextOrTexts,
    /// A list of texts.
    Texts,
    /// A table of texts that is read before everything else: `[variables]`.
    Variables,
}

impl Kind {
    /// How a message names what is wanted.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Choice(_) | Self::Text => "a string",
            Self::Choices(_) | Self::Texts => "a list of strings",
            Self::Flag => "true or false",
            Self::Integer(..) => "a whole number",
            Self::Named(_) => "a table of tables",
            Self::Number => "a number",
            Self::Section(_) => "a table",
            Self::Sections(_) => "a list of tables",
            Self::TextMap | Self::Variables => "a table of strings",
            Self::TextOrTexts => "a string or a list of strings",
        }
    }
}

/// An optional key.
pub(super) const fn field(
    key: &'static str,
    kind: Kind,
    example: &'static str,
    doc: &'static str,
) -> Field {
    Field { key, kind, doc, default: None, example, need: Need::Optional }
}

impl Field {
    /// The same with a default, as JSON.
    pub(super) const fn default(self, default: &'static str) -> Self {
        Self { default: Some(default), ..self }
    }

    /// The same, and the table is wrong without it.
    pub(super) const fn required(self) -> Self {
        Self { need: Need::Required, ..self }
    }
}
