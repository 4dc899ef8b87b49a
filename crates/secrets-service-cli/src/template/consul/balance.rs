//! Whether every block is closed, and closes something. The engine takes the end of the file, or an `end` too many, for
//! the end of the template without a word, and would drop what comes after it.

use super::super::Syntax;
use super::super::actions::{self, Action};

/// The line, and what is wrong in it. For a text that the engine's lexer has accepted.
pub(super) fn check(text: &str) -> Result<(), (usize, String)> {
    let mut open: Vec<(usize, &str)> = Vec::new();
    for Action { line, keyword, .. } in actions::all(text, Syntax::Consul) {
        match keyword {
            "if" | "range" | "with" | "define" | "block" => open.push((line, keyword)),
            "end" => {
                open.pop().ok_or_else(|| (line, "unexpected {{end}}".to_owned()))?;
            }
            "else" if !open.last().is_some_and(|(_, block)| matches!(*block, "if" | "range" | "with")) => {
                return Err((line, "unexpected {{else}}".to_owned()));
            }
            _ => {}
        }
    }
    match open.pop() {
        Some((line, keyword)) => Err((line, format!("this {{{{{keyword}}}}} has no {{{{end}}}}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_balanced() {
        for text in [
            "",
            "}} {{ .x }}",
            "{{ if true }}a{{ else if false }}b{{ else }}c{{ end }}",
            "{{- range .x -}}{{ with .y }}{{ end }}{{- end -}}",
            "{{/* {{ if }} */}}{{- /* end */ -}}",
            r#"{{ "{{ if }}" }}{{ `{{ end` }}{{ '"' }}{{ "\"}}{{end}}" }}"#,
            "{{ define \"t\" }}{{ block \"b\" . }}{{ end }}{{ end }}",
            "{{ endpoint }}{{ $end }}{{ .end }}{{ if_ }}",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_not() {
        for (text, line) in [
            ("a\n{{ if true }}\n", 2),
            ("a{{ end }}b", 1),
            ("{{ if true }}{{ end }}\n\n{{- end }}b", 3),
            ("{{ else }}", 1),
            ("{{ define \"t\" }}{{ else }}{{ end }}", 1),
            ("{{ with 1 }}\n{{ if 2 }}{{ end }}", 1),
        ] {
            assert_eq!(check(text).map_err(|(line, _)| line), Err(line), "{text}");
        }
    }
}
