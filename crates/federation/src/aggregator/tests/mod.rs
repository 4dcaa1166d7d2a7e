mod alone;
mod charged;
mod learning;
mod private;
mod secure;
mod selected;
mod together;
mod variates;
