//! Log lines into the story.

use crate::lockstep::guest::see;
use crate::lockstep::protocol::Seen;
use crate::outcome::Kind;
use std::fmt::{Debug, Write as _};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber, span};

/// As a node's own filter: openraft reports every retry as an error, ractor_cluster prints whole
/// messages.
const SILENT: [&str; 3] = ["openraft", "ractor_cluster", "ractor"];

/// From now on every line at info and above.
pub(super) fn to_story() {
    // Called once, before anything logs.
    let _ = tracing::subscriber::set_global_default(Story);
}

struct Story;

#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let written = if field.name() == "message" {
            let rest = std::mem::take(&mut self.0);
            write!(self.0, "{value:?}{rest}")
        } else {
            write!(self.0, " {}={value:?}", field.name())
        };
        // Writing into a string does not fail.
        let _ = written;
    }
}

impl Subscriber for Story {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let krate = metadata.target().split("::").next().unwrap_or_default();
        *metadata.level() <= Level::INFO && !SILENT.contains(&krate)
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let (level, target) = (event.metadata().level(), event.metadata().target());
        see(Seen::Kind(Kind::Log(format!(
            "{level} {target}: {}",
            line.0
        ))));
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}
