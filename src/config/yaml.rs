//! [`Node`]: one YAML document as a tree in which every value knows its line and column.
//!
//! Collects what is wrong as [`Problem`]s instead of stopping at the first. Refused as such: tabs as indentation, a
//! byte order mark, text that is not UTF-8, a second document, duplicate keys, anchors and aliases (a value that
//! stands elsewhere is a trap in a file that is read at night, and a bomb when nested), deep nesting.
//! Not here: which keys there are (`check`).

use std::collections::HashSet;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

/// Where something stands in the file, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) at: Place,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(at: Place, message: impl Into<String>) -> Self {
        Problem { at, message: message.into() }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) at: Place,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Unquoted text: number, word, true, null …
    Plain(String),
    /// Quoted or block text: always a string.
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
    /// Refused already; asks for no second message.
    Broken,
}

impl Node {
    /// The value as serde_yaml sees it; `None` where it was refused.
    pub(super) fn to_serde(&self) -> Option<serde_yaml::Value> {
        Some(match &self.value {
            // serde_yaml decides what is a number, a boolean or null.
            Value::Plain(text) => serde_yaml::from_str(text)
                .ok()
                .filter(|value: &serde_yaml::Value| !value.is_mapping() && !value.is_sequence())
                .unwrap_or_else(|| text.as_str().into()),
            Value::Quoted(text) => text.as_str().into(),
            Value::List(items) => serde_yaml::Value::Sequence(
                items.iter().map(Node::to_serde).collect::<Option<_>>()?,
            ),
            Value::Map(entries) => {
                let mut mapping = serde_yaml::Mapping::new();
                for (key, value) in entries {
                    mapping.insert(key.name.as_str().into(), value.to_serde()?);
                }
                serde_yaml::Value::Mapping(mapping)
            }
            Value::Broken => return None,
        })
    }

    /// What kind of value it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self.value {
            Value::Plain(_) | Value::Quoted(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a section",
            Value::Broken => "nothing",
        }
    }
}

/// Deeper than any setting lies; keeps the recursion and the time bounded.
const MAX_DEPTH: usize = 16;

/// More values than any configuration has; keeps the time bounded for a file of full size.
const MAX_NODES: usize = 10_000;

/// Problems after which reading stops: nobody fixes more at once.
pub(super) const MAX_PROBLEMS: usize = 50;

/// Reads one document. `None` when there is no tree to check further; the problems then say why.
pub(super) fn parse(bytes: &[u8]) -> (Option<Node>, Vec<Problem>) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let message = "this is not UTF-8 text; save the file as UTF-8";
            return (None, vec![Problem::new(end_of(&good), message)]);
        }
    };
    if text.starts_with('\u{feff}') {
        let message = "a byte order mark stands before the text; save the file as UTF-8 without it";
        return (None, vec![Problem::new(Place { line: 1, column: 1 }, message)]);
    }
    if let Some(index) = text.find(|c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let message = "a control character stands here; save the file as plain UTF-8 text";
        return (None, vec![Problem::new(end_of(&text[..index]), message)]);
    }
    let mut problems = tabs(text);
    if !problems.is_empty() {
        return (None, problems);
    }
    let mut reader =
        Reader { parser: Parser::new_from_str(text), n_nodes: 0, problems: Vec::new() };
    let node = match reader.document() {
        Ok(node) => node,
        Err(stop) => {
            reader.problems.extend(stop);
            None
        }
    };
    problems.append(&mut reader.problems);
    (node, problems)
}

fn end_of(text: &str) -> Place {
    let line = text.matches('\n').count() + 1;
    let column = text.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    Place { line, column }
}

fn tabs(text: &str) -> Vec<Problem> {
    let tab = |(index, line): (usize, &str)| {
        let blank = line.len() - line.trim_start().len();
        let column = line[..blank].find('\t')? + 1;
        let empty = line.trim().is_empty() || line.trim_start().starts_with('#');
        (!empty).then(|| {
            Problem::new(
                Place { line: index + 1, column },
                "a tab indents this line; YAML is indented with spaces",
            )
        })
    };
    text.lines().enumerate().filter_map(tab).take(MAX_PROBLEMS).collect()
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    n_nodes: usize,
    problems: Vec<Problem>,
}

/// Reading cannot go on; `None` when everything was said already.
type Stop = Option<Problem>;

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), Stop> {
        if self.problems.len() >= MAX_PROBLEMS {
            return Err(None);
        }
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => Err(Some(syntax(&error))),
            None => Ok((Event::StreamEnd, Place { line: 1, column: 1 })),
        }
    }

    /// The only document of the stream; `Ok(None)` when there is none.
    fn document(&mut self) -> Result<Option<Node>, Stop> {
        let mut root = None;
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(_) if root.is_some() => {
                    let message = "a second document begins here; one file holds one configuration";
                    self.problems.push(Problem::new(at, message));
                    return Ok(root);
                }
                Event::StreamStart
                | Event::DocumentStart(_)
                | Event::DocumentEnd
                | Event::Nothing => {}
                event => root = Some(self.node(event, at, 0)?),
            }
        }
    }

    fn node(&mut self, event: Event<'a>, at: Place, depth: usize) -> Result<Node, Stop> {
        if depth > MAX_DEPTH {
            return Err(Some(Problem::new(at, format!("nested deeper than {MAX_DEPTH} levels"))));
        }
        self.n_nodes += 1;
        if self.n_nodes > MAX_NODES {
            let message = format!("more than {MAX_NODES} values; this is no configuration");
            return Err(Some(Problem::new(at, message)));
        }
        let value = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                match style {
                    // The parser writes `~` for a value that is not there.
                    ScalarStyle::Plain => Value::Plain(text.into_owned()),
                    _ => Value::Quoted(text.into_owned()),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                let mut items = Vec::new();
                loop {
                    match self.next()? {
                        (Event::SequenceEnd, _) => break Value::List(items),
                        (event, at) => items.push(self.node(event, at, depth + 1)?),
                    }
                }
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_extras(at, anchor, tag.is_some());
                Value::Map(self.entries(depth)?)
            }
            _ => {
                let message = "an alias (`*name`) is not supported; write the value out";
                self.problems.push(Problem::new(at, message));
                Value::Broken
            }
        };
        Ok(Node { at, value })
    }

    fn entries(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Stop> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        let mut seen = HashSet::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(entries);
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            match key.value {
                Value::Plain(name) | Value::Quoted(name) => {
                    if name == "<<" {
                        let message = "merging (`<<`) is not supported; write the values out";
                        self.problems.push(Problem::new(at, message));
                    } else if seen.insert(name.clone()) {
                        entries.push((Key { at, name }, value));
                    } else {
                        let message = format!("`{}` is given twice", shortened(&name));
                        self.problems.push(Problem::new(at, message));
                    }
                }
                Value::Broken => {}
                _ => self.problems.push(Problem::new(at, "a key must be a single word")),
            }
        }
    }

    fn refuse_extras(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor > 0 {
            let message =
                "an anchor (`&name`) is not supported; write the value out where it is used";
            self.problems.push(Problem::new(at, message));
        }
        if tagged {
            self.problems.push(Problem::new(at, "a tag (`!name`) is not supported; leave it out"));
        }
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line(), column: span.start.col() + 1 }
}

fn syntax(error: &ScanError) -> Problem {
    let at = error.marker();
    Problem::new(
        Place { line: at.line(), column: at.col() + 1 },
        format!("this is not YAML: {}", error.info()),
    )
}

/// Text of a file in a message: short, and one line.
pub(super) fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn messages(text: &[u8]) -> Vec<(usize, usize, String)> {
        let (_, problems) = parse(text);
        problems.into_iter().map(|p| (p.at.line, p.at.column, p.message)).collect()
    }

    #[test]
    fn every_value_knows_its_place() {
        let (node, problems) =
            parse(b"seed: 7\nlines:\n  fx:\n    pairs: [EUR/USD, \"GBP/USD\"]\n");
        assert_eq!(problems, []);
        let Value::Map(top) = node.expect("a tree").value else { panic!("a section") };
        assert_eq!(top[0].1.at, Place { line: 1, column: 7 });
        assert_eq!(top[1].0.at, Place { line: 2, column: 1 });
        let Value::Map(lines) = &top[1].1.value else { panic!("a section") };
        let Value::Map(line) = &lines[0].1.value else { panic!("a section") };
        let Value::List(pairs) = &line[0].1.value else { panic!("a list") };
        assert_eq!(pairs[1].at, Place { line: 4, column: 22 });
        assert!(matches!(pairs[1].value, Value::Quoted(_)));
    }

    #[test]
    fn what_is_not_one_plain_document_is_refused_with_its_place() {
        for (text, line, column, word) in [
            (&b"seed: 1\nseed: 2\n"[..], 2, 1, "given twice"),
            (b"lines:\n\tfx: {}\n", 2, 1, "tab"),
            (b"seed: 1\n---\nseed: 2\n", 2, 1, "second document"),
            (b"\xef\xbb\xbfseed: 1\n", 1, 1, "byte order mark"),
            (b"seed: 1\nthreads: \xff\n", 2, 10, "UTF-8"),
            (b"s\x00e\x00e\x00d\x00", 1, 2, "control character"),
            (b"seed: [1, 2\n", 2, 1, "not YAML"),
            (b"a: &x [1]\nb: *x\n", 1, 7, "anchor"),
            (b"a: !!python/object 1\n", 1, 20, "tag"),
            (b"? [a, b]\n: 1\n", 1, 3, "single word"),
        ] {
            let found = messages(text);
            let first = found.first().unwrap_or_else(|| panic!("{text:?} was accepted"));
            assert_eq!((first.0, first.1), (line, column), "{found:?}");
            assert!(first.2.contains(word), "{found:?}");
        }
    }

    #[test]
    fn an_alias_bomb_and_a_pit_of_brackets_are_refused_fast() {
        let mut bomb = String::from("a: &a [x, x, x, x, x, x, x, x, x]\n");
        for (one, two) in ('a'..'i').zip('b'..) {
            bomb.push_str(&format!("{two}: &{two} [{}]\n", vec![format!("*{one}"); 9].join(", ")));
        }
        let begun = std::time::Instant::now();
        assert!(!messages(bomb.as_bytes()).is_empty());
        assert!(!messages("[".repeat(100_000).as_bytes()).is_empty());
        assert!(!messages("a: {".repeat(100_000).as_bytes()).is_empty());
        assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
        }

        #[test]
        fn no_text_of_yaml_marks_makes_it_panic(text in "[-a:b?\\[\\]{},&*!|>'\"%#@ \n~1.]{0,60}") {
            let (node, _) = parse(text.as_bytes());
            node.and_then(|node| node.to_serde());
        }
    }
}
