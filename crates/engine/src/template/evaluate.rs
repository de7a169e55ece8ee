//! The walk over the tree.

use super::functions::{self, Argument};
use super::parse::{Base, Command, Node, Operand, Pipeline};
use super::{Methods, Mistake};
use serde_json::Value;

/// A value on its way.
#[derive(Debug, Clone)]
pub struct Got {
    pub value: Value,
    /// What it stands for when it is null.
    pub null: Null,
    /// Whether its keys are data, so that one that is missing is no mistake.
    map: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Null {
    /// `<nil>`: it is there, and empty.
    Nil,
    /// `<no value>`: a key that a map does not have.
    NoValue,
    /// As nothing: `index` of a key that is not there.
    Nothing,
}

impl Got {
    pub fn of(value: Value) -> Self {
        Self { value, null: Null::Nil, map: false }
    }

    pub fn nothing() -> Self {
        Self { value: Value::Null, null: Null::Nothing, map: false }
    }
}

/// Fields whose keys are data.
const MAPS: [&str; 16] = [
    "Annotations",
    "Attributes",
    "Data",
    "DriverOpts",
    "ExposedPorts",
    "Labels",
    "LogOpts",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "StorageOpt",
    "Sysctls",
    "Tmpfs",
    "Volumes",
    "Containers",
];

struct Walk<'a> {
    out: String,
    variables: Vec<(String, Got)>,
    methods: Methods<'a>,
}

enum Flow {
    On,
    Break,
    Continue,
}

pub fn render(nodes: &[Node], data: &Value, methods: Methods<'_>) -> Result<String, Mistake> {
    let dot = Got::of(data.clone());
    let mut walk = Walk { out: String::new(), variables: vec![(String::new(), dot.clone())], methods };
    walk.list(nodes, &dot, true)?;
    Ok(walk.out)
}

pub fn is_true(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(yes) => *yes,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

impl Walk<'_> {
    fn list(&mut self, nodes: &[Node], dot: &Got, root: bool) -> Result<Flow, Mistake> {
        for node in nodes {
            match self.node(node, dot, root)? {
                Flow::On => {}
                other => return Ok(other),
            }
        }
        Ok(Flow::On)
    }

    fn node(&mut self, node: &Node, dot: &Got, root: bool) -> Result<Flow, Mistake> {
        let known = self.variables.len();
        let flow = match node {
            Node::Text(text) => {
                self.out.push_str(text);
                return Ok(Flow::On);
            }
            Node::Print(pipeline) => {
                let got = self.pipeline(pipeline, dot, root)?;
                if pipeline.variables.is_empty() {
                    self.out.push_str(&functions::shown(&got));
                }
                // What is declared here is known to what follows.
                return Ok(Flow::On);
            }
            Node::If { wanted, then, otherwise } => {
                let got = self.pipeline(wanted, dot, root)?;
                self.list(if is_true(&got.value) { then } else { otherwise }, dot, root)?
            }
            Node::With { wanted, then, otherwise } => {
                let got = self.pipeline(wanted, dot, root)?;
                if is_true(&got.value) {
                    self.list(then, &got, false)?
                } else {
                    self.list(otherwise, dot, root)?
                }
            }
            Node::Range { over, each, otherwise } => self.range(over, each, otherwise, dot, root)?,
            Node::Break => Flow::Break,
            Node::Continue => Flow::Continue,
        };
        self.variables.truncate(known);
        Ok(flow)
    }

    fn range(
        &mut self,
        over: &Pipeline,
        each: &[Node],
        otherwise: &[Node],
        dot: &Got,
        root: bool,
    ) -> Result<Flow, Mistake> {
        let got = self.commands(over, dot, root)?;
        let items: Vec<(Value, Value)> = match got.value {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(index, item)| (index.into(), item)).collect()
            }
            Value::Object(map) => map.into_iter().map(|(key, item)| (key.into(), item)).collect(),
            Value::Null => Vec::new(),
            other => {
                return Err(Mistake::new(over.at, format!("range over {}", functions::kind(&other))));
            }
        };
        if items.is_empty() {
            return self.list(otherwise, dot, root);
        }
        for (key, item) in items {
            let known = self.variables.len();
            let item = Got::of(item);
            let values = match over.variables.len() {
                2 => vec![Got::of(key), item.clone()],
                _ => vec![item.clone()],
            };
            for (name, value) in over.variables.iter().zip(values) {
                self.set(name, value, over.declares);
            }
            let flow = self.list(each, &item, false)?;
            self.variables.truncate(known);
            if matches!(flow, Flow::Break) {
                break;
            }
        }
        Ok(Flow::On)
    }

    fn set(&mut self, name: &str, value: Got, declares: bool) {
        let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
        match known {
            Some((_, place)) if !declares => *place = value,
            _ => self.variables.push((name.to_owned(), value)),
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Got, root: bool) -> Result<Got, Mistake> {
        let got = self.commands(pipeline, dot, root)?;
        for name in &pipeline.variables {
            self.set(name, got.clone(), pipeline.declares);
        }
        Ok(got)
    }

    fn commands(&mut self, pipeline: &Pipeline, dot: &Got, root: bool) -> Result<Got, Mistake> {
        let mut last = None;
        for command in &pipeline.commands {
            last = Some(self.command(command, last, dot, root)?);
        }
        last.ok_or_else(|| Mistake::new(pipeline.at, "a value is missing"))
    }

    fn command(
        &mut self,
        command: &Command,
        last: Option<Got>,
        dot: &Got,
        root: bool,
    ) -> Result<Got, Mistake> {
        let Some((first, rest)) = command.words.split_first() else {
            return Err(Mistake::new(0, "a value is missing"));
        };
        if let Base::Function(name) = &first.base {
            return self.call(name, first.at, rest, last, dot, root);
        }
        let method = match (&first.base, first.fields.as_slice()) {
            (Base::Dot, [name]) if root => Some(name),
            (Base::Variable(variable), [name]) if variable.is_empty() => Some(name),
            _ => None,
        };
        if let Some(name) = method
            && (!rest.is_empty() || last.is_some())
        {
            let mut arguments = Vec::new();
            for word in rest {
                arguments.push(self.operand(word, dot, root)?.value);
            }
            arguments.extend(last.map(|got| got.value));
            return (self.methods)(name, &arguments)
                .map(Got::of)
                .ok_or_else(|| Mistake::new(first.at, format!(".{name} takes no argument")));
        }
        match rest.first() {
            Some(more) => Err(Mistake::new(more.at, "an argument for what is no function")),
            None if last.is_some() => Err(Mistake::new(first.at, "what is behind | has to be a function")),
            None => self.operand(first, dot, root),
        }
    }

    fn call(
        &mut self,
        name: &str,
        at: usize,
        words: &[Operand],
        last: Option<Got>,
        dot: &Got,
        root: bool,
    ) -> Result<Got, Mistake> {
        let mut arguments = Vec::new();
        for word in words {
            let got = self.operand(word, dot, root)?;
            // What is decided needs no more: `and .A .A.B`.
            let decided = (name == "and" && !is_true(&got.value)) || (name == "or" && is_true(&got.value));
            arguments.push(Argument { at: word.at, got });
            if decided {
                return functions::call(name, at, arguments);
            }
        }
        arguments.extend(last.map(|got| Argument { at, got }));
        functions::call(name, at, arguments)
    }

    fn operand(&mut self, operand: &Operand, dot: &Got, root: bool) -> Result<Got, Mistake> {
        let base = match &operand.base {
            Base::Dot => dot.clone(),
            Base::Variable(name) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                known
                    .map(|(_, got)| got.clone())
                    .ok_or_else(|| Mistake::new(operand.at, format!("no variable ${name}")))?
            }
            Base::Literal(value) => Got::of(value.clone()),
            Base::Function(name) => return self.call(name, operand.at, &[], None, dot, root),
            Base::Group(pipeline) => self.pipeline(pipeline, dot, root)?,
        };
        let mut path = String::new();
        let mut got = base;
        for name in &operand.fields {
            got = field(got, name, &path, operand.at)?;
            path.push('.');
            path.push_str(name);
        }
        Ok(got)
    }
}

fn field(from: Got, name: &str, path: &str, at: usize) -> Result<Got, Mistake> {
    let place = if path.is_empty() { "what is looked at".to_owned() } else { path.to_owned() };
    match from.value {
        Value::Object(mut map) => {
            // Go's fields and their JSON differ in case: .ID and "Id".
            let key = if map.contains_key(name) {
                Some(name.to_owned())
            } else if from.map {
                None
            } else {
                map.keys().find(|key| key.eq_ignore_ascii_case(name)).cloned()
            };
            match key.and_then(|key| map.remove(&key)) {
                Some(value) => Ok(Got { value, null: Null::Nil, map: !from.map && MAPS.contains(&name) }),
                None if from.map => Ok(Got { value: Value::Null, null: Null::NoValue, map: false }),
                None => {
                    let mut mistake = Mistake::new(at, format!("no field {name:?} in {place}"));
                    let names: Vec<&str> = map.keys().map(String::as_str).collect();
                    mistake.hint = (!names.is_empty()).then(|| format!("there are {}", names.join(", ")));
                    Err(mistake)
                }
            }
        }
        Value::Null if from.null == Null::NoValue => {
            Ok(Got { value: Value::Null, null: Null::NoValue, map: true })
        }
        Value::Null => Err(Mistake::new(at, format!("no field {name:?} in {place}: it is empty here"))),
        other => {
            Err(Mistake::new(at, format!("no field {name:?} in {place}: it is {}", functions::kind(&other))))
        }
    }
}
