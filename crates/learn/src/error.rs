//! Why learning refused or failed.

/// Each variant is a sentence with the input, the rule and, where there is one, the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Error {
    /// A parameter vector of another shape.
    #[error(
        "{found} parameters do not fit a model of {expected}: both nodes must be configured with the same layers"
    )]
    ParameterCount {
        /// What the shape needs.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A parameter vector that no training should have made.
    #[error("parameter {index} is {value}: parameters must be finite")]
    NonFiniteParameter {
        /// Its place in the flat vector.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// A present slot without a number in it.
    #[error(
        "row {row} has {value} in slot {slot}: present values must be finite; mask the slot or drop the row"
    )]
    NonFiniteValue {
        /// Index of the row in the slice.
        row: usize,
        /// Index of the slot.
        slot: usize,
        /// NaN or an infinity.
        value: f32,
    },
    /// Nothing to learn from.
    #[error("{rows} rows without a single present slot cannot train a model")]
    NothingToLearn {
        /// How many rows there were.
        rows: usize,
    },
    /// More than one job may hold in memory.
    #[error("{rows} rows are over the limit of {limit} for one job: send fewer")]
    TooManyRows {
        /// How many rows there were.
        rows: usize,
        /// The limit.
        limit: usize,
    },
    /// A shape out of bounds.
    #[error("hidden layers {hidden:?} with a kernel of {kernel} are not a usable shape: {rule}")]
    Shape {
        /// The widths asked for.
        hidden: Vec<usize>,
        /// The kernel asked for.
        kernel: usize,
        /// What would be right.
        rule: &'static str,
    },
    /// A training setting out of bounds.
    #[error("training setting {key} = {value} is not usable: {rule}")]
    Config {
        /// Its name.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be right.
        rule: &'static str,
    },
    /// The loss or a parameter left the finite numbers.
    #[error("training diverged in epoch {epoch}: lower the learning rate of {learning_rate}")]
    Diverged {
        /// Counted from 1.
        epoch: u32,
        /// As configured.
        learning_rate: f64,
    },
    /// A model file that does not hold what it should.
    #[error("this is no model of Glasshouse's: {0}")]
    File(String),
    /// The learner's queue is full.
    #[error("the learner already has {queued} jobs waiting: try again later")]
    Busy {
        /// The queue's length.
        queued: usize,
    },
    /// Scoring before the first model.
    #[error("the learner has no model yet: set one before asking for residuals")]
    NoModel,
    /// The learner was stopped before or while the job ran.
    #[error("the learner stopped before the job was done")]
    Stopped,
    /// A panic inside a job, most likely an error that libtorch reported.
    #[error("the job failed inside libtorch: {0}")]
    Panicked(String),
    /// The operating system gave no thread.
    #[error("cannot start the learner's thread: {0}")]
    Thread(String),
}
