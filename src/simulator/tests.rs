//! The rules that are easy to get wrong, over real HTTP.
