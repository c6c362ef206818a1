//! Address kinds and paging formats of x86-64, as types.
