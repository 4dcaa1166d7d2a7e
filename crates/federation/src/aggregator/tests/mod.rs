mod alone;
mod charged;
mod learning;
mod private;
mod selected;
mod together;
