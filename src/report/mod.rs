//! HTML and Markdown pages with plots.
