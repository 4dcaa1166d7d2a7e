mod alone;
mod learning;
mod private;
mod selected;
mod together;
