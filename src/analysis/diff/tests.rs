//! Comparisons of small worlds.
