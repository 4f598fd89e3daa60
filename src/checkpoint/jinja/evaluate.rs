//! Evaluation of statements and expressions.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::ast::{Args, Expr, For, Kind, Statement, StatementKind, Target};
use super::functions::Given;
use super::value::{Loop, Macro, Value};
use super::{Context, Error, Result, SIZE, WORK, filters, predicates};

/// Names and their values. Names set in a loop's iteration, a macro or a block end with it.
pub(super) struct Scope {
    names: RefCell<Vec<(String, Value)>>,
    outer: Option<Rc<Scope>>,
}

impl Scope {
    fn inside(outer: &Rc<Scope>) -> Rc<Self> {
        Rc::new(Self {
            names: RefCell::default(),
            outer: Some(outer.clone()),
        })
    }

    pub fn set(&self, name: &str, value: Value) {
        let mut names = self.names.borrow_mut();
        match names.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => *known = value,
            None => names.push((name.to_string(), value)),
        }
    }

    fn get(&self, name: &str) -> Option<Value> {
        let mut scope = self;
        loop {
            if let Some((_, value)) = scope.names.borrow().iter().find(|(known, _)| known == name) {
                return Some(value.clone());
            }
            scope = scope.outer.as_ref()?;
        }
    }
}

/// One rendering and its remaining budget.
pub(super) struct Run {
    left: Cell<usize>,
    pub calls: Cell<usize>,
}

/// Whether a loop's iteration continues.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    On,
    Break,
    Continue,
}

pub(super) fn render(body: &[Statement], context: &Context) -> Result<String> {
    let run = Run {
        left: Cell::new(WORK),
        calls: Cell::new(0),
    };
    let scope = Rc::new(Scope {
        names: RefCell::default(),
        outer: None,
    });
    for (name, value) in context {
        scope.set(name, Value::from_json(value)?);
    }
    let scope = Scope::inside(&scope);
    let mut out = String::new();
    let result = run.body(body, &scope, &mut out);
    // A macro holds its scope, and the scope the macro: the cycle is broken here.
    scope.names.borrow_mut().clear();
    result.map(|_| out)
}

impl Run {
    /// Counts work done, or about to be done.
    pub fn work(&self, amount: usize) -> Result<()> {
        match self.left.get().checked_sub(amount) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Error::new(
                "the template does too much: more than any prompt needs",
            )),
        }
    }

    /// Counts a new text and returns it as a value.
    pub fn made(&self, text: String) -> Result<Value> {
        self.work(text.len() / 16)?;
        Ok(Value::text(text))
    }

    /// Returns about how many bytes a comparison of the value touches.
    pub fn weight(&self, value: &Value) -> usize {
        match value {
            Value::Text(text) => text.len(),
            Value::List(items) | Value::Tuple(items) => items.values.len() * 64,
            Value::Dict(entries) => entries.pairs.len() * entries.pairs.len() * 64,
            _ => 0,
        }
    }

    pub fn body(&self, body: &[Statement], scope: &Rc<Scope>, out: &mut String) -> Result<Flow> {
        for statement in body {
            let flow = self.statement(&statement.kind, scope, out);
            let flow = flow.map_err(|error| error.at(statement.line))?;
            if out.len() > SIZE {
                let error = Error::new(format!("the template writes more than {SIZE} bytes"));
                return Err(error.at(statement.line));
            }
            if flow != Flow::On {
                return Ok(flow);
            }
        }
        Ok(Flow::On)
    }

    fn statement(
        &self,
        statement: &StatementKind,
        scope: &Rc<Scope>,
        out: &mut String,
    ) -> Result<Flow> {
        self.work(1)?;
        match statement {
            StatementKind::Data(text) => {
                self.work(text.len() / 16)?;
                out.push_str(text);
            }
            StatementKind::Print(expr) => {
                // Nothing is escaped, so `safe` does not change the output.
                let expr = match &expr.kind {
                    Kind::Filter(inner, filter) if filter.name == "safe" => inner,
                    _ => expr,
                };
                let value = self.expr(expr, scope)?;
                out.push_str(&self.text(&value)?);
            }
            StatementKind::For(statement) => self.for_loop(statement, scope, out)?,
            StatementKind::If(branches, otherwise) => {
                for (test, body) in branches {
                    if self.expr(test, scope)?.is_true() {
                        return self.body(body, scope, out);
                    }
                }
                return self.body(otherwise, scope, out);
            }
            StatementKind::Set(target, value) => {
                let value = self.expr(value, scope)?;
                self.assign(target, value, scope)?;
            }
            StatementKind::SetBlock(target, chain, body) => {
                let inner = Scope::inside(scope);
                let value = self.block(body, &inner)?;
                let value = self.chain(chain, value, scope)?;
                self.assign(target, value, scope)?;
            }
            StatementKind::FilterBlock(chain, body) => {
                let inner = Scope::inside(scope);
                let value = self.block(body, &inner)?;
                let value = self.chain(chain, value, scope)?;
                out.push_str(&self.text(&value)?);
            }
            StatementKind::With(values, body) => {
                let inner = Scope::inside(scope);
                for (target, value) in values {
                    let value = self.expr(value, scope)?;
                    self.assign(target, value, &inner)?;
                }
                return self.body(body, &inner, out);
            }
            StatementKind::Macro(name, definition) => {
                let made = Macro {
                    definition: definition.clone(),
                    scope: scope.clone(),
                };
                scope.set(name, Value::Macro(Rc::new(made)));
            }
            StatementKind::CallBlock(callee, args, definition) => {
                let callee = self.expr(callee, scope)?;
                let mut given = self.args(args, scope)?;
                let caller = Macro {
                    definition: definition.clone(),
                    scope: scope.clone(),
                };
                given.caller = Some(Value::Macro(Rc::new(caller)));
                let value = self.call(&callee, given)?;
                out.push_str(&self.text(&value)?);
            }
            StatementKind::Generation(body) => {
                let inner = Scope::inside(scope);
                self.body(body, &inner, out)?;
            }
            StatementKind::Break => return Ok(Flow::Break),
            StatementKind::Continue => return Ok(Flow::Continue),
        }
        Ok(Flow::On)
    }

    /// Runs a body and returns its output as a text.
    pub fn block(&self, body: &[Statement], scope: &Rc<Scope>) -> Result<Value> {
        let mut text = String::new();
        if self.body(body, scope, &mut text)? != Flow::On {
            return Err(Error::new("a loop is not left from inside a block of text"));
        }
        self.made(text)
    }

    fn chain(
        &self,
        chain: &[super::ast::Filter],
        value: Value,
        scope: &Rc<Scope>,
    ) -> Result<Value> {
        chain.iter().try_fold(value, |value, filter| {
            let args = self.args(&filter.args, scope)?;
            filters::apply(self, &filter.name, value, args)
        })
    }

    fn for_loop(&self, statement: &For, scope: &Rc<Scope>, out: &mut String) -> Result<()> {
        let source = self.expr(&statement.iter, scope)?;
        let mut items = self.iterate(&source)?;
        if let Some(test) = &statement.test {
            let mut kept = Vec::new();
            for item in &items.values {
                let inner = Scope::inside(scope);
                self.assign(&statement.target, item.clone(), &inner)?;
                if self.expr(test, &inner)?.is_true() {
                    kept.push(item.clone());
                }
            }
            items = super::value::Items::new(kept)?;
        }
        if items.values.is_empty() {
            return match self.body(&statement.otherwise, scope, out)? {
                Flow::On => Ok(()),
                _ => Err(Error::new("a loop is not left from its else")),
            };
        }
        let changed = Rc::new(RefCell::new(None));
        for (index, item) in items.values.iter().enumerate() {
            self.work(4)?;
            let inner = Scope::inside(scope);
            let variable = Loop {
                items: items.clone(),
                index,
                changed: changed.clone(),
            };
            inner.set("loop", Value::Loop(Rc::new(variable)));
            self.assign(&statement.target, item.clone(), &inner)?;
            let flow = self.body(&statement.body, &inner, out)?;
            if flow == Flow::Break {
                break;
            }
        }
        Ok(())
    }

    fn assign(&self, target: &Target, value: Value, scope: &Rc<Scope>) -> Result<()> {
        match target {
            Target::Name(name) => scope.set(name, value),
            Target::Tuple(targets) => {
                let items = self.iterate(&value)?;
                if items.values.len() != targets.len() {
                    return Err(Error::new(format!(
                        "expected {} values to unpack, found {}",
                        targets.len(),
                        items.values.len()
                    )));
                }
                for (target, value) in targets.iter().zip(&items.values) {
                    self.assign(target, value.clone(), scope)?;
                }
            }
            Target::Namespace(name, field) => {
                let Some(Value::Namespace(fields)) = scope.get(name) else {
                    let reason =
                        format!("cannot assign attribute on non-namespace object {name:?}");
                    return Err(Error::new(reason));
                };
                super::functions::set_field(&mut fields.borrow_mut(), field, value)?;
            }
        }
        Ok(())
    }

    pub fn args(&self, args: &Args, scope: &Rc<Scope>) -> Result<Given> {
        let positional = args.positional.iter().map(|e| self.expr(e, scope));
        let named = args
            .named
            .iter()
            .map(|(name, e)| Ok((name.clone(), self.expr(e, scope)?)));
        Ok(Given {
            positional: positional.collect::<Result<_>>()?,
            named: named.collect::<Result<_>>()?,
            caller: None,
        })
    }

    pub fn expr(&self, expr: &Expr, scope: &Rc<Scope>) -> Result<Value> {
        self.work(1)?;
        Ok(match &expr.kind {
            Kind::None => Value::None,
            Kind::Bool(value) => Value::Bool(*value),
            Kind::Int(value) => Value::Int(*value),
            Kind::Float(value) => Value::Float(*value),
            Kind::Text(text) => {
                self.work(text.len() / 16)?;
                Value::text(text)
            }
            Kind::Name(name) => match scope.get(name) {
                Some(value) => value,
                None => super::functions::global(name)
                    .unwrap_or_else(|| Value::undefined(&format!("{name:?}"))),
            },
            Kind::List(list) => {
                self.work(2 * list.len())?;
                Value::list(self.all(list, scope)?)?
            }
            Kind::Tuple(list) => {
                self.work(2 * list.len())?;
                Value::tuple(self.all(list, scope)?)?
            }
            Kind::Dict(pairs) => {
                let pairs = pairs
                    .iter()
                    .map(|(key, value)| Ok((self.expr(key, scope)?, self.expr(value, scope)?)));
                Value::dict(pairs.collect::<Result<_>>()?)?
            }
            Kind::Attribute(of, name) => {
                let of = self.expr(of, scope)?;
                self.attribute(&of, name)?
            }
            Kind::Item(of, index) => {
                let (of, index) = (self.expr(of, scope)?, self.expr(index, scope)?);
                self.item(&of, &index)?
            }
            Kind::Slice(of, bounds) => {
                let of = self.expr(of, scope)?;
                let mut values = [Value::None, Value::None, Value::None];
                for (value, bound) in values.iter_mut().zip(bounds.iter()) {
                    if let Some(bound) = bound {
                        *value = self.expr(bound, scope)?;
                    }
                }
                self.slice(&of, values)?
            }
            Kind::Call(callee, args) => {
                let callee = self.expr(callee, scope)?;
                self.call(&callee, self.args(args, scope)?)?
            }
            Kind::Filter(of, filter) => {
                let of = self.expr(of, scope)?;
                filters::apply(self, &filter.name, of, self.args(&filter.args, scope)?)?
            }
            Kind::Test(of, test) => {
                let of = self.expr(of, scope)?;
                let args = self.args(&test.args, scope)?;
                Value::Bool(predicates::holds(self, &test.name, &of, &args)?)
            }
            Kind::Not(of) => Value::Bool(!self.expr(of, scope)?.is_true()),
            Kind::Negative(of) => {
                let of = self.expr(of, scope)?;
                of.defined()?;
                match &of {
                    Value::Float(value) => Value::Float(-value),
                    other => {
                        self.arithmetic(super::ast::Arithmetic::Subtract, &Value::Int(0), other)?
                    }
                }
            }
            Kind::Positive(of) => {
                let of = self.expr(of, scope)?;
                self.arithmetic(super::ast::Arithmetic::Add, &Value::Int(0), &of)?
            }
            Kind::And(a, b) => {
                let a = self.expr(a, scope)?;
                if a.is_true() { self.expr(b, scope)? } else { a }
            }
            Kind::Or(a, b) => {
                let a = self.expr(a, scope)?;
                if a.is_true() { a } else { self.expr(b, scope)? }
            }
            Kind::Arithmetic(op, a, b) => {
                let (a, b) = (self.expr(a, scope)?, self.expr(b, scope)?);
                self.arithmetic(*op, &a, &b)?
            }
            Kind::Concat(list) => {
                let mut text = String::new();
                for part in list {
                    let value = self.expr(part, scope)?;
                    text.push_str(&self.text(&value)?);
                }
                self.made(text)?
            }
            Kind::Compare(first, rest) => {
                let mut left = self.expr(first, scope)?;
                for (op, right) in rest {
                    let right = self.expr(right, scope)?;
                    if !self.compare(*op, &left, &right)? {
                        return Ok(Value::Bool(false));
                    }
                    left = right;
                }
                Value::Bool(true)
            }
            Kind::Conditional(parts, no) => {
                let [test, yes] = &**parts;
                if self.expr(test, scope)?.is_true() {
                    self.expr(yes, scope)?
                } else if let Some(no) = no {
                    self.expr(no, scope)?
                } else {
                    Value::undefined("the value of an if without else")
                }
            }
        })
    }

    fn all(&self, list: &[Expr], scope: &Rc<Scope>) -> Result<Vec<Value>> {
        list.iter().map(|e| self.expr(e, scope)).collect()
    }

    /// Calls a macro and returns its output.
    pub fn macro_text(&self, called: &Macro, given: Given) -> Result<Value> {
        let definition = &called.definition;
        let scope = Scope::inside(&called.scope);
        let count = definition.params.len();
        let uses = |name: &str| definition.params.iter().any(|(param, _)| param == name);
        if given.positional.len() > count {
            return Err(Error::new(format!(
                "macro {:?} takes not more than {count} arguments",
                definition.name
            )));
        }
        for (name, _) in &given.named {
            if !uses(name) {
                let name_of = &definition.name;
                let reason = format!("macro {name_of:?} takes no keyword argument {name:?}");
                return Err(Error::new(reason));
            }
        }
        if let Some(caller) = given.caller {
            scope.set("caller", caller);
        }
        for (at, (name, default)) in definition.params.iter().enumerate() {
            let named = given.named.iter().find(|(known, _)| known == name);
            let value = match (given.positional.get(at), named, default) {
                (Some(_), Some(_), _) => {
                    let reason = format!("parameter {name:?} is given twice");
                    return Err(Error::new(reason));
                }
                (Some(value), None, _) | (None, Some((_, value)), _) => value.clone(),
                (None, None, Some(default)) => self.expr(default, &scope)?,
                (None, None, None) => Value::undefined(&format!("parameter {name:?}")),
            };
            scope.set(name, value);
        }
        let text = self.block(&definition.body, &scope);
        scope.names.borrow_mut().clear();
        text
    }
}
