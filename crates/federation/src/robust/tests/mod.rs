mod attacks;
mod steps;
