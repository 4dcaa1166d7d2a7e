mod alone;
mod charged;
mod learning;
mod lies;
mod private;
mod secure;
mod selected;
mod together;
