//! What a supervisor is told of its children, and how it and they end.

use super::Intensity;
use std::collections::BTreeSet;
use std::fmt;

/// What else is restarted when one child is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Strategy {
    /// Only that child.
    #[default]
    OneForOne,
    /// Every child.
    OneForAll,
    /// That child and those after it in the list.
    RestForOne,
}

/// When a child that ended is started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Restart {
    /// Always.
    #[default]
    Permanent,
    /// Only when it ended abnormally.
    Transient,
    /// Never, not even when its siblings are.
    Temporary,
}

/// Whether a supervisor ends by itself when its significant children have ended for good.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AutoShutdown {
    /// It does not; none of its children may be significant then.
    #[default]
    Never,
    /// With the first of them.
    AnySignificant,
    /// With the last of them.
    AllSignificant,
}

/// How a child ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// It was done (OTP: `normal`).
    Normal,
    /// It ended in good order before it was done (OTP: `shutdown`, `{shutdown, Term}`).
    Shutdown,
    /// It failed or panicked (OTP: any other reason).
    Abnormal,
    /// It was killed by somebody else than its supervisor (OTP: `killed`).
    Killed,
}

impl Exit {
    /// Whether a transient child that ended so stays ended.
    pub fn is_normal(self) -> bool {
        match self {
            Self::Normal | Self::Shutdown => true,
            Self::Abnormal | Self::Killed => false,
        }
    }
}

/// A supervisor's properties (OTP: `sup_flags()`), with OTP's defaults.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// What else is restarted.
    pub strategy: Strategy,
    /// When restarting is given up.
    pub intensity: Intensity,
    /// Whether it ends with its significant children.
    pub auto_shutdown: AutoShutdown,
}

/// The part of a child specification that decisions need.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChildSpec {
    /// For people and status pages; one of its kind among its siblings.
    pub name: String,
    /// When it is started again.
    pub restart: Restart,
    /// Whether its end may end its supervisor ([`AutoShutdown`]).
    pub significant: bool,
}

/// Why specifications were not accepted. A mistake of the program's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SpecError {
    /// Two children of one name.
    DuplicateName {
        /// The name.
        child: String,
    },
    /// A permanent child never ends for good.
    PermanentSignificant {
        /// Its name.
        child: String,
    },
    /// A significant child under a supervisor that never shuts down by itself.
    SignificantInVain {
        /// Its name.
        child: String,
    },
}

impl std::error::Error for SpecError {}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DuplicateName { child } => write!(
                f,
                "two children are called {child}; give each a name of its own"
            ),
            Self::PermanentSignificant { child } => write!(
                f,
                "{child} is significant and permanent, but a permanent child never ends for good; \
                 make it transient or temporary"
            ),
            Self::SignificantInVain { child } => write!(
                f,
                "{child} is significant, but its supervisor never shuts down by itself; give the \
                 supervisor an automatic shutdown or the child no significance"
            ),
        }
    }
}

/// OTP's `check_childspecs/2`, as far as types do not say it already.
pub(super) fn check(flags: Flags, specs: &[ChildSpec]) -> Result<(), SpecError> {
    let mut names = BTreeSet::new();
    for spec in specs {
        let child = spec.name.clone();
        if !names.insert(&spec.name) {
            return Err(SpecError::DuplicateName { child });
        }
        if !spec.significant {
            continue;
        }
        if spec.restart == Restart::Permanent {
            return Err(SpecError::PermanentSignificant { child });
        }
        if flags.auto_shutdown == AutoShutdown::Never {
            return Err(SpecError::SignificantInVain { child });
        }
    }
    Ok(())
}

/// How a supervisor ends. Whichever it is, its own supervisor sees [`Exit::Shutdown`], as in OTP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Finish {
    /// As it was asked to.
    ShutDown,
    /// By [`AutoShutdown`], after this child.
    Auto {
        /// The child's name.
        child: String,
    },
    /// Restarting does not help: its own supervisor, or at the top the process, has to act.
    Escalate(Escalation),
}

/// Why a supervisor gave up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Escalation {
    /// More restarts than [`Intensity`] allows; the last straw was this child.
    TooManyRestarts {
        /// The child's name.
        child: String,
        /// The limit that was passed.
        intensity: Intensity,
    },
    /// A child could not be started when the supervisor itself was.
    FirstStartFailed {
        /// The child's name.
        child: String,
    },
}

impl fmt::Display for Escalation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyRestarts { child, intensity } => write!(
                f,
                "{child} had to be restarted more often than {} times within {:?}",
                intensity.restarts, intensity.period
            ),
            Self::FirstStartFailed { child } => write!(f, "{child} could not be started"),
        }
    }
}

impl fmt::Display for Finish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ShutDown => f.write_str("it was told to stop"),
            Self::Auto { child } => {
                write!(f, "{child}, which is significant, has ended for good")
            }
            Self::Escalate(escalation) => escalation.fmt(f),
        }
    }
}
