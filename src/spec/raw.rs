//! Reads TOML along the tables of the language: every unknown key, wrong type and wrong variable is
//! reported, and what remains has the types that the tables promise. Pure.

use std::borrow::Cow;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use crate::spec::code::Code;
use crate::spec::place::{Place, SourceFile};
use crate::spec::problem::{Problem, Problems};
use crate::spec::section::{Entry, Section, Text, Value, Values};
use crate::spec::suggest::nearest;
use crate::spec::table::{Field, Kind, Need, Table};
use crate::spec::variables::Expander;

/// Walks the TOML of one file.
pub(super) struct Reader<'a> {
    /// The file.
    pub(super) file: &'a Arc<SourceFile>,
    /// Fills in variables.
    pub(super) expander: &'a Expander<'a>,
    /// Where problems go.
    pub(super) problems: &'a mut Problems,
}

type Toml<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    /// Reads `toml`, which stands at `place`, as `table`.
    pub(super) fn section(
        &mut self,
        toml: DeTable<'_>,
        place: Place,
        table: &'static Table,
    ) -> Section {
        let mut values = Values::default();
        for (key, value) in in_file_order(toml) {
            let key_place = self.place(&key);
            let Some(field) = table.field(key.get_ref()) else {
                // The key that was probably meant counts as there, or it would be told as missing too.
                if let Some(meant) = self.unknown_key(key.get_ref(), &key_place, table) {
                    let (key, place) = (key_place.clone(), key_place);
                    values.insert(meant, Entry { key, place, value: Value::Refused });
                }
                continue;
            };
            let place = self.place(&value);
            let read = self.value(field, value.into_inner(), &place).unwrap_or(Value::Refused);
            values.insert(field.key, Entry { key: key_place, place, value: read });
        }
        for field in table.fields.iter().filter(|it| it.need == Need::Required) {
            if values.get(field.key).is_none() {
                let message = format!("{} needs `{}`", table.noun, field.key);
                self.problems.add(
                    Problem::error(Code::MissingKey, &place, message)
                        .label(format!("`{}` is missing", field.key))
                        .help(format!("add: {} = {}", field.key, field.example)),
                );
            }
        }
        Section { table, values, place }
    }

    fn place<T>(&self, spanned: &Spanned<T>) -> Place {
        Place::new(self.file, &spanned.span())
    }

    /// Reports the key, and gives the one that it is near to.
    fn unknown_key(
        &mut self,
        key: &str,
        place: &Place,
        table: &'static Table,
    ) -> Option<&'static str> {
        let near = nearest(key, table.keys());
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => {
                let known: Vec<_> = table.keys().map(|key| format!("`{key}`")).collect();
                format!("{} has: {}", table.noun, known.join(", "))
            }
        };
        let message = format!("{} has no key `{key}`", table.noun);
        let problem = Problem::error(Code::UnknownKey, place, message);
        self.problems.add(problem.label("unknown key").help(help));
        near
    }

    fn value(&mut self, field: &'static Field, toml: DeValue<'_>, place: &Place) -> Option<Value> {
        match (field.kind, toml) {
            (Kind::Flag, DeValue::Boolean(flag)) => Some(Value::Flag(flag)),
            (Kind::Integer(least, most), DeValue::Integer(number)) => {
                let parsed = i64::from_str_radix(number.as_str(), number.radix()).ok();
                let fits = parsed.filter(|it| (least..=most).contains(it));
                fits.map(Value::Integer).or_else(|| self.out_of_range(field, place))
            }
            (Kind::Number, number @ (DeValue::Integer(_) | DeValue::Float(_))) => {
                let parsed = to_number(&number);
                let fits = parsed.filter(|it| it.is_finite() && *it > 0.0);
                fits.map(Value::Number).or_else(|| self.out_of_range(field, place))
            }
            (Kind::Text, DeValue::String(text)) => self.text(&text, place).map(Value::Text),
            (Kind::Choice(choices), DeValue::String(text)) => {
                self.choice(field, choices, &text, place).map(Value::Text)
            }
            (Kind::Texts, DeValue::Array(items)) => {
                self.texts(field, &items, |it, text, place| it.text(text, place))
            }
            (Kind::Choices(choices), DeValue::Array(items)) => {
                self.texts(field, &items, |it, text, place| it.choice(field, choices, text, place))
            }
            (Kind::TextOrTexts, DeValue::String(text)) => {
                self.text(&text, place).map(|text| Value::Texts(vec![text]))
            }
            (Kind::TextOrTexts, DeValue::Array(items)) => {
                self.texts(field, &items, |it, text, place| it.text(text, place))
            }
            (Kind::TextMap, DeValue::Table(pairs)) => Some(Value::Pairs(self.pairs(field, &pairs))),
            (Kind::Variables, DeValue::Table(_)) => Some(Value::Pairs(Vec::new())),
            (Kind::Section(table), DeValue::Table(toml)) => {
                Some(Value::Section(Box::new(self.section(toml, place.clone(), table))))
            }
            (Kind::Sections(table), DeValue::Array(items)) => {
                Some(self.sections(field, table, items))
            }
            (Kind::Named(table), DeValue::Table(tables)) => Some(self.named(field, table, tables)),
            (_, other) => self.wrong_type(field, field.kind.noun(), &other, place),
        }
    }

    /// Fills the variables into a text.
    fn text(&mut self, written: &str, place: &Place) -> Option<Text> {
        let value = self.expander.expand(written, place, self.problems)?;
        let expanded = matches!(value, Cow::Owned(_));
        Some(Text { value: value.into_owned(), expanded, place: place.clone() })
    }

    fn choice(
        &mut self,
        field: &'static Field,
        choices: &[&str],
        written: &str,
        place: &Place,
    ) -> Option<Text> {
        let text = self.text(written, place)?;
        if choices.contains(&text.value()) {
            return Some(text);
        }
        let all: Vec<_> = choices.iter().map(|it| format!("`{it}`")).collect();
        let help = match nearest(text.value(), choices.iter().copied()) {
            Some(near) if !text.expanded => format!("did you mean `{near}`?"),
            _ => format!("use one of: {}", all.join(", ")),
        };
        let message = format!("`{}` takes no {text}", field.key);
        let problem = Problem::error(Code::UnknownValue, place, message);
        self.problems.refuse(problem.label("unknown value").help(help))
    }

    fn texts(
        &mut self,
        field: &'static Field,
        items: &[Toml<'_>],
        mut read: impl FnMut(&mut Self, &str, &Place) -> Option<Text>,
    ) -> Option<Value> {
        let mut texts = Vec::with_capacity(items.len());
        for item in items {
            let place = self.place(item);
            match item.get_ref() {
                DeValue::String(text) => texts.extend(read(self, text, &place)),
                _ => texts.extend(self.wrong_type(
                    field,
                    "a list of strings",
                    item.get_ref(),
                    &place,
                )),
            }
        }
        // A list whose items were all refused is not an empty list: that would be reported again.
        (items.is_empty() || !texts.is_empty()).then_some(Value::Texts(texts))
    }

    /// Reads a table of texts. The names are taken as they stand.
    pub(super) fn pairs(
        &mut self,
        field: &'static Field,
        table: &DeTable<'_>,
    ) -> Vec<(Text, Text)> {
        let mut pairs = Vec::with_capacity(table.len());
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            let place = self.place(value);
            let value = match value.get_ref() {
                DeValue::String(text) => self.text(text, &place),
                _ => self.wrong_type(field, "a table of strings", value.get_ref(), &place),
            };
            pairs.extend(value.map(|value| (self.name(key), value)));
        }
        pairs
    }

    fn name(&self, key: &Spanned<Cow<'_, str>>) -> Text {
        let value = key.get_ref().clone().into_owned();
        Text { value, expanded: false, place: self.place(key) }
    }

    fn sections(
        &mut self,
        field: &'static Field,
        table: &'static Table,
        items: DeArray<'_>,
    ) -> Value {
        let mut sections = Vec::with_capacity(items.len());
        for item in items {
            let place = self.place(&item);
            match item.into_inner() {
                DeValue::Table(toml) => sections.push(self.section(toml, place, table)),
                other => {
                    sections.extend(self.wrong_type(field, "a list of tables", &other, &place));
                }
            }
        }
        Value::Sections(sections)
    }

    fn named(
        &mut self,
        field: &'static Field,
        table: &'static Table,
        tables: DeTable<'_>,
    ) -> Value {
        let mut named = Vec::with_capacity(tables.len());
        for (key, value) in in_file_order(tables) {
            let place = self.place(&value);
            let section = match value.into_inner() {
                DeValue::Table(toml) => {
                    let header = if place.range().is_empty() { self.place(&key) } else { place };
                    Some(self.section(toml, header, table))
                }
                other => self.wrong_type(field, "a table of tables", &other, &place),
            };
            named.extend(section.map(|section| (self.name(&key), section)));
        }
        Value::Named(named)
    }

    fn wrong_type<T>(
        &mut self,
        field: &Field,
        wanted: &str,
        toml: &DeValue<'_>,
        place: &Place,
    ) -> Option<T> {
        let message = format!("`{}` takes {wanted}", field.key);
        let found = match toml {
            DeValue::Array(_) => "a list",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Float(_) | DeValue::Integer(_) => "a number",
            DeValue::String(_) => "a string",
            DeValue::Table(_) => "a table",
        };
        let help = match field.kind {
            Kind::Sections(_) => format!("write: {}", field.example),
            _ => format!("write, for example: {} = {}", field.key, field.example),
        };
        let problem = Problem::error(Code::WrongType, place, message);
        self.problems.refuse(problem.label(format!("this is {found}")).help(help))
    }

    fn out_of_range<T>(&mut self, field: &Field, place: &Place) -> Option<T> {
        let (message, help) = match field.kind {
            Kind::Integer(least, most) => (
                format!("`{}` goes from {least} to {most}", field.key),
                format!("write, for example: {} = {}", field.key, field.example),
            ),
            _ => (
                format!("`{}` is a number greater than zero", field.key),
                format!("leave it out for no limit, or write: {} = {}", field.key, field.example),
            ),
        };
        let problem = Problem::error(Code::OutOfRange, place, message);
        self.problems.refuse(problem.label("out of range").help(help))
    }
}

fn to_number(toml: &DeValue<'_>) -> Option<f64> {
    match toml {
        DeValue::Float(number) => number.as_str().parse().ok(),
        DeValue::Integer(number) => {
            let whole = i64::from_str_radix(number.as_str(), number.radix()).ok()?;
            i32::try_from(whole).ok().map(f64::from)
        }
        _ => None,
    }
}

/// The entries as they stand in the file; the parser gives them by name.
///
/// They are taken apart on the way: a spec of 100,000 images must not be in memory twice.
fn in_file_order<'i>(table: DeTable<'i>) -> Vec<(Spanned<Cow<'i, str>>, Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.into_iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}
