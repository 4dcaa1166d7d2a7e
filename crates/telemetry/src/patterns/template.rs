//! Texts with the names of captures in braces: `outlet.{outlet}.current`.

use regex::Captures;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, PartialEq, Eq, Debug)]
enum Piece {
    Text(String),
    Capture(String),
}

impl Template {
    /// `None`: a brace without its other half, or an empty name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after.split_once('}')?;
            if name.is_empty() || before.contains('}') {
                return None;
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Capture(name.to_owned()));
            rest = behind;
        }
        if rest.contains('}') {
            return None;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Some(Self(pieces))
    }

    /// Just what one capture caught.
    pub(super) fn capture(name: &str) -> Self {
        Self(vec![Piece::Capture(name.to_owned())])
    }

    /// The captures it needs.
    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Capture(name) => Some(name.as_str()),
        })
    }

    /// What a capture in an optional group did not catch is empty.
    pub(super) fn render(&self, captures: &Captures<'_>) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Capture(name) => captures.name(name).map_or("", |m| m.as_str().trim()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_name_captures() {
        let regex = regex::Regex::new("(?<outlet>[0-9]+)=(?<value>[0-9.]+)(?<more>x)?").unwrap();
        let captures = regex.captures("7=1.5").unwrap();
        for (text, expected) in [
            ("outlet.{outlet}.current", Some("outlet.7.current")),
            ("{outlet}{value}", Some("71.5")),
            ("plain", Some("plain")),
            ("", Some("")),
            ("{more}", Some("")),
            ("{outlet", None),
            ("outlet}", None),
            ("}{outlet}", None),
            ("{}", None),
        ] {
            let rendered = Template::parse(text).map(|template| template.render(&captures));
            assert_eq!(rendered.as_deref(), expected, "{text}");
        }
        let template = Template::parse("{a}.{b}").unwrap();
        assert_eq!(template.captures().collect::<Vec<_>>(), ["a", "b"]);
    }
}
