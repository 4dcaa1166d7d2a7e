mod against;
mod cohort;
mod large;
mod liar;
mod parameters;
mod rounds;
mod terms;
