//! What every page is wrapped in: one self-contained file that fits a phone and needs no network.

use maud::{DOCTYPE, Markup, PreEscaped, html};

/// A whole page; `body` goes into its `main`.
pub(super) fn document(title: &str, style: &str, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(style)) }
            }
            body { main { (body) } }
        }
    }
    .into_string()
}
