//! From tokens to a tree.

use super::Mistake;
use super::functions::NAMES;
use super::lex::{Piece, Token, Word};
use serde_json::Value;
use std::iter::Peekable;
use std::vec::IntoIter;

#[derive(Debug)]
pub enum Node {
    Text(String),
    Print(Pipeline),
    If { wanted: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    With { wanted: Pipeline, then: Vec<Node>, otherwise: Vec<Node> },
    Range { over: Pipeline, each: Vec<Node>, otherwise: Vec<Node> },
    Break,
    Continue,
}

/// Commands, each of which gets the result of the one before as its last argument.
#[derive(Debug)]
pub struct Pipeline {
    pub at: usize,
    /// Variables that get its value, and whether they are new.
    pub variables: Vec<String>,
    pub declares: bool,
    pub commands: Vec<Command>,
}

#[derive(Debug)]
pub struct Command {
    pub words: Vec<Operand>,
}

#[derive(Debug)]
pub struct Operand {
    pub at: usize,
    pub base: Base,
    pub fields: Vec<String>,
}

#[derive(Debug)]
pub enum Base {
    Dot,
    Variable(String),
    Literal(Value),
    Function(String),
    Group(Box<Pipeline>),
}

/// Blocks and groups within each other; more is no template that somebody wrote.
const DEEPEST: usize = 64;

struct Parser {
    pieces: Peekable<IntoIter<Piece>>,
    depth: usize,
    ranges: usize,
    variables: Vec<String>,
}

/// What ended a list of nodes.
enum End {
    Source,
    Closed,
    /// `else`, with what follows in the same action.
    Else(usize, Vec<Token>),
}

pub fn tree(pieces: Vec<Piece>) -> Result<Vec<Node>, Mistake> {
    let mut parser =
        Parser { pieces: pieces.into_iter().peekable(), depth: 0, ranges: 0, variables: vec![String::new()] };
    let (nodes, end, at) = parser.list()?;
    match end {
        End::Source => Ok(nodes),
        End::Closed => Err(Mistake::new(at, "{{end}} without a block")),
        End::Else(..) => Err(Mistake::new(at, "{{else}} without a block")),
    }
}

impl Parser {
    fn list(&mut self) -> Result<(Vec<Node>, End, usize), Mistake> {
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let (at, tokens) = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action { at, tokens } => (at, tokens),
            };
            let keyword = match tokens.first() {
                None => return Err(Mistake::new(at, "an action that says nothing")),
                Some(Token { word: Word::Name(name), .. }) => name.clone(),
                Some(_) => String::new(),
            };
            let rest = || tokens[1..].to_vec();
            let alone = || match tokens.get(1) {
                None => Ok(()),
                Some(more) => Err(Mistake::new(more.at, format!("nothing may follow {keyword}"))),
            };
            match keyword.as_str() {
                "end" => {
                    alone()?;
                    return Ok((nodes, End::Closed, at));
                }
                "else" => return Ok((nodes, End::Else(at, rest()), at)),
                "if" | "with" | "range" => nodes.push(self.block(&keyword, at, rest())?),
                "break" | "continue" => {
                    alone()?;
                    if self.ranges == 0 {
                        return Err(Mistake::new(at, format!("{keyword} outside of a range")));
                    }
                    nodes.push(if keyword == "break" { Node::Break } else { Node::Continue });
                }
                "define" | "template" | "block" => {
                    return Err(Mistake::new(at, format!("{{{{{keyword}}}}} is not supported here")));
                }
                _ => nodes.push(Node::Print(self.whole(at, tokens)?)),
            }
        }
        Ok((nodes, End::Source, 0))
    }

    fn deeper(&mut self, at: usize) -> Result<(), Mistake> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(Mistake::new(at, format!("more than {DEEPEST} levels within each other")));
        }
        Ok(())
    }

    fn block(&mut self, keyword: &str, at: usize, tokens: Vec<Token>) -> Result<Node, Mistake> {
        self.deeper(at)?;
        let known = self.variables.len();
        let wanted = self.pipeline_of(at, tokens, keyword == "range")?;
        self.ranges += usize::from(keyword == "range");
        let inside = self.variables.len();
        let (then, end, _) = self.list()?;
        self.variables.truncate(inside);
        self.ranges -= usize::from(keyword == "range");
        let unclosed = || Mistake::new(at, format!("{{{{{keyword}}}}} has no {{{{end}}}}"));
        let otherwise = match end {
            End::Closed => Vec::new(),
            End::Source => return Err(unclosed()),
            End::Else(at, tokens) if !tokens.is_empty() => {
                // {{else if}} and {{else with}} share their {{end}}.
                match &tokens[0].word {
                    Word::Name(name) if name == "if" || name == "with" => {
                        vec![self.block(&name.clone(), at, tokens[1..].to_vec())?]
                    }
                    _ => return Err(Mistake::new(tokens[0].at, "nothing but if may follow else")),
                }
            }
            End::Else(..) => match self.list()? {
                (nodes, End::Closed, _) => nodes,
                (_, End::Source, _) => return Err(unclosed()),
                (_, End::Else(again, _), _) => return Err(Mistake::new(again, "a second {{else}}")),
            },
        };
        self.variables.truncate(known);
        self.depth -= 1;
        Ok(match keyword {
            "if" => Node::If { wanted, then, otherwise },
            "with" => Node::With { wanted, then, otherwise },
            _ => Node::Range { over: wanted, each: then, otherwise },
        })
    }

    fn whole(&mut self, at: usize, tokens: Vec<Token>) -> Result<Pipeline, Mistake> {
        self.pipeline_of(at, tokens, false)
    }

    fn pipeline_of(&mut self, at: usize, tokens: Vec<Token>, range: bool) -> Result<Pipeline, Mistake> {
        let mut tokens = tokens.into_iter().peekable();
        let pipeline = self.pipeline(at, &mut tokens, range)?;
        match tokens.next() {
            None => Ok(pipeline),
            Some(more) => Err(Mistake::new(more.at, "unexpected )")),
        }
    }

    /// Up to the end of the tokens, or a parenthesis that closes, which stays.
    fn pipeline(
        &mut self,
        at: usize,
        tokens: &mut Peekable<IntoIter<Token>>,
        range: bool,
    ) -> Result<Pipeline, Mistake> {
        let (variables, declares) = self.assigned(tokens, range)?;
        let mut commands = vec![Command { words: Vec::new() }];
        let mut last = at;
        while let Some(token) = tokens.next_if(|token| token.word != Word::Close) {
            last = token.at;
            let place = token.at;
            let mut fields = Vec::new();
            let base = match token.word {
                Word::Pipe => {
                    if commands.last().is_none_or(|command| command.words.is_empty()) {
                        return Err(Mistake::new(place, "nothing in front of |"));
                    }
                    commands.push(Command { words: Vec::new() });
                    continue;
                }
                Word::Dot => Base::Dot,
                Word::Fields(names) => {
                    fields = names;
                    Base::Dot
                }
                Word::Variable(name) => {
                    if !self.variables.contains(&name) {
                        return Err(Mistake::new(place, format!("no variable ${name}")));
                    }
                    Base::Variable(name)
                }
                Word::Literal(value) => Base::Literal(value),
                Word::Name(name) => {
                    if !NAMES.contains(&name.as_str()) {
                        let mut mistake = Mistake::new(place, format!("no function {name:?}"));
                        mistake.hint =
                            Some(format!("there are {}; a field begins with a dot", NAMES.join(", ")));
                        return Err(mistake);
                    }
                    Base::Function(name)
                }
                Word::Open => {
                    self.deeper(place)?;
                    let group = self.pipeline(place, tokens, false)?;
                    if tokens.next().is_none() {
                        return Err(Mistake::new(place, "unclosed ("));
                    }
                    self.depth -= 1;
                    Base::Group(Box::new(group))
                }
                Word::Declare | Word::Assign | Word::Comma | Word::Close => {
                    return Err(Mistake::new(place, "unexpected sign in an action"));
                }
            };
            let chained = matches!(base, Base::Variable(_) | Base::Group(_));
            if let Some(more) = tokens.next_if(|next| next.glued && matches!(next.word, Word::Fields(_))) {
                match more.word {
                    Word::Fields(names) if chained => fields.extend(names),
                    _ => return Err(Mistake::new(more.at, "a field of what has none; a space is missing")),
                }
            }
            if let Some(command) = commands.last_mut() {
                command.words.push(Operand { at: place, base, fields });
            }
        }
        if commands.last().is_none_or(|command| command.words.is_empty()) {
            return Err(Mistake::new(last, "a value is missing"));
        }
        self.variables.extend(variables.iter().filter(|_| declares).cloned());
        Ok(Pipeline { at, variables, declares, commands })
    }

    /// `$x :=`, `$x =`, and of a range `$i, $x :=`.
    fn assigned(
        &self,
        tokens: &mut Peekable<IntoIter<Token>>,
        range: bool,
    ) -> Result<(Vec<String>, bool), Mistake> {
        let ahead: Vec<Token> = tokens.clone().take(4).collect();
        let name = |index: usize| match ahead.get(index).map(|token| &token.word) {
            Some(Word::Variable(name)) if !name.is_empty() => Some(name.clone()),
            _ => None,
        };
        let is = |index: usize, word: &Word| ahead.get(index).is_some_and(|token| token.word == *word);
        let (names, count) = match (name(0), name(2)) {
            (Some(first), Some(second)) if is(1, &Word::Comma) => (vec![first, second], 3),
            (Some(first), _) => (vec![first], 1),
            _ => return Ok((Vec::new(), false)),
        };
        let declares = is(count, &Word::Declare);
        if !declares && !is(count, &Word::Assign) {
            return Ok((Vec::new(), false));
        }
        if names.len() == 2 && !range {
            return Err(Mistake::new(ahead[0].at, "two variables outside of a range"));
        }
        if let Some(unknown) = names.iter().find(|name| !declares && !self.variables.contains(name)) {
            return Err(Mistake::new(ahead[0].at, format!("no variable ${unknown}")));
        }
        tokens.nth(count);
        Ok((names, declares))
    }
}
