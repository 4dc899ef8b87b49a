//! What is done to a parsed template before it is used.

use gotmpl::parse::{ActionNode, BranchNode, CommandNode, Expr, ListNode, Node, Number, PipeNode, Pos};

/// The function that notes the line.
pub(super) const NOTE_LINE: &str = "__line";

/// The function through which everything is printed.
pub(super) const PRINT: &str = "__print";

/// Puts a note of its line before each action, and has values printed by [`PRINT`].
pub(super) fn instrument(list: &mut ListNode) {
    let nodes = std::mem::take(&mut list.nodes);
    list.nodes.reserve(2 * nodes.len());
    for mut node in nodes {
        match &mut node {
            Node::Action(action) => {
                list.nodes.push(note(action.pos));
                if action.pipe.decl.is_empty() {
                    let name = Expr::Identifier(action.pos, PRINT.into());
                    action.pipe.commands.push(CommandNode { pos: action.pos, args: vec![name] });
                }
            }
            Node::If(branch) | Node::Range(branch) | Node::With(branch) => {
                list.nodes.push(note(branch.pos));
                instrument(&mut branch.body);
                if let Some(body) = &mut branch.else_body {
                    instrument(body);
                }
            }
            Node::Template(call) => list.nodes.push(note(call.pos)),
            Node::List(inner) => instrument(inner),
            Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
        }
        list.nodes.push(node);
    }
}

fn note(pos: Pos) -> Node {
    let line = Number::Int(i64::try_from(pos.line).unwrap_or(i64::MAX));
    let args = vec![Expr::Identifier(pos, NOTE_LINE.into()), Expr::Number(pos, line)];
    let commands = vec![CommandNode { pos, args }];
    Node::Action(ActionNode { pos, pipe: PipeNode { pos, decl: Vec::new(), commands, is_assign: false } })
}

/// The first function that is not known, or template that is not defined: its line, and what is wrong.
pub(super) fn check(
    list: &ListNode,
    known: &dyn Fn(&str) -> bool,
    templates: &[String],
) -> Result<(), (usize, String)> {
    let branch = |branch: &BranchNode| {
        pipe(&branch.pipe, known)?;
        check(&branch.body, known, templates)?;
        branch.else_body.as_ref().map_or(Ok(()), |body| check(body, known, templates))
    };
    for node in &list.nodes {
        match node {
            Node::Action(action) => pipe(&action.pipe, known)?,
            Node::If(node) | Node::Range(node) | Node::With(node) => branch(node)?,
            Node::Template(call) => {
                if !templates.iter().any(|name| name == call.name.as_str()) {
                    return Err((call.pos.line, format!("the template {:?} is not defined", call.name)));
                }
                call.pipe.as_ref().map_or(Ok(()), |arguments| pipe(arguments, known))?;
            }
            Node::List(inner) => check(inner, known, templates)?,
            Node::Text(_) | Node::Define(_) | Node::Break(_) | Node::Continue(_) => {}
        }
    }
    Ok(())
}

fn pipe(pipe: &PipeNode, known: &dyn Fn(&str) -> bool) -> Result<(), (usize, String)> {
    pipe.commands
        .iter()
        .flat_map(|command| &command.args)
        .try_for_each(|argument| expression(argument, known))
}

fn expression(argument: &Expr, known: &dyn Fn(&str) -> bool) -> Result<(), (usize, String)> {
    match argument {
        Expr::Identifier(pos, name) if !known(name) => {
            Err((pos.line, format!("there is no function {name:?} here")))
        }
        Expr::Pipe(_, inner) => pipe(inner, known),
        Expr::Chain(_, inner, _) => expression(inner, known),
        _ => Ok(()),
    }
}
