//! Parser of expressions, by jinja2's grammar.

use super::ast::{Args, Arithmetic, Comparison, Expr, Filter, Kind};
use super::lexer::Token;
use super::{Error, HEIGHT, NESTING, Result, filters, predicates};

pub(super) struct Parser {
    pub tokens: Vec<(Token, usize)>,
    pub at: usize,
    /// Number of constructs around this place.
    pub nesting: usize,
    /// Number of loops around this place, inside the innermost macro.
    pub loops: usize,
}

/// Creates a node above others; fails if the tree becomes too deep.
fn node(kind: Kind, below: usize) -> Result<Expr> {
    let height = below + 1;
    if height > HEIGHT {
        return Err(Error::new(format!(
            "expressions deeper than {HEIGHT} are not read"
        )));
    }
    Ok(Expr { kind, height })
}

fn tallest<'e>(list: impl IntoIterator<Item = &'e Expr>) -> usize {
    list.into_iter().map(|e| e.height).max().unwrap_or(0)
}

impl Args {
    fn height(&self) -> usize {
        tallest(
            self.positional
                .iter()
                .chain(self.named.iter().map(|(_, e)| e)),
        )
    }
}

impl Parser {
    pub fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    pub fn line(&self) -> usize {
        self.tokens[self.at].1
    }

    pub fn next(&mut self) -> Token {
        let token = self.tokens[self.at].0.clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    pub fn is_operator(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Operator(found) if *found == operator)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    pub fn skip_operator(&mut self, operator: &str) -> bool {
        let found = self.is_operator(operator);
        if found {
            self.next();
        }
        found
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    pub fn expect_operator(&mut self, operator: &str) -> Result<()> {
        if self.skip_operator(operator) {
            return Ok(());
        }
        Err(self.unexpected(&format!("{operator:?}")))
    }

    pub fn expect_name(&mut self) -> Result<String> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.next();
                Ok(name)
            }
            _ => Err(self.unexpected("a name")),
        }
    }

    pub fn unexpected(&self, expected: &str) -> Error {
        let found = match self.peek() {
            Token::Data(_) => "text".to_string(),
            Token::PrintBegin => "{{".to_string(),
            Token::PrintEnd => "}}".to_string(),
            Token::BlockBegin => "{%".to_string(),
            Token::BlockEnd => "%}".to_string(),
            Token::Name(name) => format!("{name:?}"),
            Token::Text(_) => "a string".to_string(),
            Token::Int(_) | Token::Float(_) => "a number".to_string(),
            Token::Operator(operator) => format!("{operator:?}"),
            Token::End => "the end".to_string(),
        };
        Error::new(format!("expected {expected}, found {found}"))
    }

    /// Runs `parse` one level deeper.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        self.nesting += 1;
        if self.nesting > NESTING {
            return Err(Error::new(format!("nested more than {NESTING} deep")));
        }
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    pub fn expression(&mut self) -> Result<Expr> {
        self.nested(|p| {
            let mut yes = p.or()?;
            while p.skip_name("if") {
                let test = p.or()?;
                let no = if p.skip_name("else") {
                    Some(Box::new(p.expression()?))
                } else {
                    None
                };
                let below = tallest([&yes, &test].into_iter().chain(no.as_deref()));
                yes = node(Kind::Conditional(Box::new([test, yes]), no), below)?;
            }
            Ok(yes)
        })
    }

    pub fn or(&mut self) -> Result<Expr> {
        let mut left = self.and()?;
        while self.skip_name("or") {
            let right = self.and()?;
            let below = left.height.max(right.height);
            left = node(Kind::Or(Box::new(left), Box::new(right)), below)?;
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Expr> {
        let mut left = self.not()?;
        while self.skip_name("and") {
            let right = self.not()?;
            let below = left.height.max(right.height);
            left = node(Kind::And(Box::new(left), Box::new(right)), below)?;
        }
        Ok(left)
    }

    fn not(&mut self) -> Result<Expr> {
        if self.skip_name("not") {
            let inner = self.nested(Self::not)?;
            let below = inner.height;
            return node(Kind::Not(Box::new(inner)), below);
        }
        self.compare()
    }

    fn compare(&mut self) -> Result<Expr> {
        let first = self.sum()?;
        let mut rest = Vec::new();
        loop {
            let comparison = match self.peek() {
                Token::Operator("==") => Comparison::Equal,
                Token::Operator("!=") => Comparison::NotEqual,
                Token::Operator("<") => Comparison::Less,
                Token::Operator("<=") => Comparison::LessEqual,
                Token::Operator(">") => Comparison::Greater,
                Token::Operator(">=") => Comparison::GreaterEqual,
                Token::Name(name) if name == "in" => Comparison::In,
                Token::Name(name)
                    if name == "not"
                        && matches!(self.tokens.get(self.at + 1), Some((Token::Name(n), _)) if n == "in") =>
                {
                    self.next();
                    Comparison::NotIn
                }
                _ => break,
            };
            self.next();
            rest.push((comparison, self.sum()?));
        }
        if rest.is_empty() {
            return Ok(first);
        }
        let below = tallest(rest.iter().map(|(_, e)| e).chain([&first]));
        node(Kind::Compare(Box::new(first), rest), below)
    }

    fn sum(&mut self) -> Result<Expr> {
        let operators = [("+", Arithmetic::Add), ("-", Arithmetic::Subtract)];
        self.arithmetic(&operators, Self::concat)
    }

    fn concat(&mut self) -> Result<Expr> {
        let first = self.product()?;
        if !self.is_operator("~") {
            return Ok(first);
        }
        let mut list = vec![first];
        while self.skip_operator("~") {
            list.push(self.product()?);
        }
        let below = tallest(&list);
        node(Kind::Concat(list), below)
    }

    fn product(&mut self) -> Result<Expr> {
        let operators = [
            ("*", Arithmetic::Multiply),
            ("/", Arithmetic::Divide),
            ("//", Arithmetic::FloorDivide),
            ("%", Arithmetic::Modulo),
        ];
        self.arithmetic(&operators, |p| {
            p.arithmetic(&[("**", Arithmetic::Power)], |p| p.unary(true))
        })
    }

    fn arithmetic(
        &mut self,
        operators: &[(&str, Arithmetic)],
        operand: impl Fn(&mut Self) -> Result<Expr>,
    ) -> Result<Expr> {
        let mut left = operand(self)?;
        loop {
            let found = operators.iter().find(|(sign, _)| self.is_operator(sign));
            let Some((_, operator)) = found else {
                return Ok(left);
            };
            self.next();
            let right = operand(self)?;
            let below = left.height.max(right.height);
            let kind = Kind::Arithmetic(*operator, Box::new(left), Box::new(right));
            left = node(kind, below)?;
        }
    }

    fn unary(&mut self, filters: bool) -> Result<Expr> {
        let sign = match self.peek() {
            Token::Operator("-") => Some(Kind::Negative as fn(Box<Expr>) -> Kind),
            Token::Operator("+") => Some(Kind::Positive as fn(Box<Expr>) -> Kind),
            _ => None,
        };
        let mut expr = match sign {
            Some(kind) => {
                self.next();
                let inner = self.nested(|p| p.unary(false))?;
                let below = inner.height;
                node(kind(Box::new(inner)), below)?
            }
            None => self.primary()?,
        };
        expr = self.postfix(expr)?;
        if filters {
            expr = self.filtered(expr)?;
        }
        Ok(expr)
    }

    pub fn primary(&mut self) -> Result<Expr> {
        let begins = match self.peek() {
            Token::Operator(operator) => matches!(*operator, "(" | "[" | "{"),
            Token::Name(_) | Token::Text(_) | Token::Int(_) | Token::Float(_) => true,
            _ => false,
        };
        if !begins {
            return Err(self.unexpected("an expression"));
        }
        let kind = match self.next() {
            Token::Name(name) => match name.as_str() {
                "true" | "True" => Kind::Bool(true),
                "false" | "False" => Kind::Bool(false),
                "none" | "None" => Kind::None,
                _ => Kind::Name(name),
            },
            Token::Text(mut text) => {
                while let Token::Text(more) = self.peek() {
                    text.push_str(more);
                    self.next();
                }
                Kind::Text(text)
            }
            Token::Int(number) => Kind::Int(number),
            Token::Float(number) => Kind::Float(number),
            Token::Operator("(") => {
                let inner = self.nested(|p| p.tuple(true, &[], true))?;
                self.expect_operator(")")?;
                return Ok(inner);
            }
            Token::Operator("[") => {
                let list = self.nested(|p| p.list("]"))?;
                let below = tallest(&list);
                return node(Kind::List(list), below);
            }
            _ => {
                let pairs = self.nested(Self::pairs)?;
                let below = tallest(pairs.iter().flat_map(|(a, b)| [a, b]));
                return node(Kind::Dict(pairs), below);
            }
        };
        node(kind, 0)
    }

    /// Parses expressions separated by commas, up to `end`; a trailing comma is allowed.
    fn list(&mut self, end: &str) -> Result<Vec<Expr>> {
        let mut list = Vec::new();
        while !self.skip_operator(end) {
            if !list.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator(end) {
                    break;
                }
            }
            list.push(self.expression()?);
        }
        Ok(list)
    }

    fn pairs(&mut self) -> Result<Vec<(Expr, Expr)>> {
        let mut pairs = Vec::new();
        while !self.skip_operator("}") {
            if !pairs.is_empty() {
                self.expect_operator(",")?;
                if self.skip_operator("}") {
                    break;
                }
            }
            let key = self.expression()?;
            self.expect_operator(":")?;
            pairs.push((key, self.expression()?));
        }
        Ok(pairs)
    }

    /// Parses one expression, or several separated by commas as a tuple. Without `conditional`,
    /// `a if b` is not parsed. Stops before a name of `ends`; with `parentheses` the tuple may be
    /// empty.
    pub fn tuple(&mut self, conditional: bool, ends: &[&str], parentheses: bool) -> Result<Expr> {
        let mut list: Vec<Expr> = Vec::new();
        let mut is_tuple = false;
        loop {
            let end = matches!(self.peek(), Token::PrintEnd | Token::BlockEnd)
                || self.is_operator(")")
                || ends.iter().any(|name| self.is_name(name));
            if end {
                break;
            }
            list.push(if conditional {
                self.expression()?
            } else {
                self.nested(Self::or)?
            });
            if !self.skip_operator(",") {
                break;
            }
            is_tuple = true;
        }
        if !is_tuple {
            match list.pop() {
                Some(only) => return Ok(only),
                None if !parentheses => return Err(self.unexpected("an expression")),
                None => {}
            }
        }
        let below = tallest(&list);
        node(Kind::Tuple(list), below)
    }

    pub fn postfix(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = if self.skip_operator(".") {
                let below = expr.height;
                match self.next() {
                    Token::Name(name) => node(Kind::Attribute(Box::new(expr), name), below)?,
                    Token::Int(number) => {
                        let index = node(Kind::Int(number), 0)?;
                        node(Kind::Item(Box::new(expr), Box::new(index)), below)?
                    }
                    _ => return Err(Error::new("expected a name behind \".\"")),
                }
            } else if self.skip_operator("[") {
                self.subscript(expr)?
            } else if self.is_operator("(") {
                self.call(expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    fn call(&mut self, callee: Expr) -> Result<Expr> {
        let args = self.arguments()?;
        let below = callee.height.max(args.height());
        node(Kind::Call(Box::new(callee), args), below)
    }

    fn subscript(&mut self, of: Expr) -> Result<Expr> {
        let mut parts: [Option<Expr>; 3] = Default::default();
        let mut colons = 0;
        self.nested(|p| {
            while !p.skip_operator("]") {
                if p.skip_operator(":") {
                    colons += 1;
                } else if colons < 3 && parts[colons].is_none() {
                    parts[colons] = Some(p.expression()?);
                } else {
                    return Err(p.unexpected("\"]\""));
                }
                if p.is_operator(",") {
                    return Err(Error::new(
                        "several indices in one pair of brackets are not read",
                    ));
                }
            }
            Ok(())
        })?;
        let below = of.height.max(tallest(parts.iter().flatten()));
        match (colons, parts) {
            (0, [Some(index), ..]) => node(Kind::Item(Box::new(of), Box::new(index)), below),
            (1 | 2, parts) => node(Kind::Slice(Box::new(of), Box::new(parts)), below),
            _ => Err(Error::new("expected an index in brackets")),
        }
    }

    /// Parses a call's arguments, including the parentheses.
    pub fn arguments(&mut self) -> Result<Args> {
        self.expect_operator("(")?;
        let mut args = Args::default();
        self.nested(|p| {
            let mut first = true;
            while !p.skip_operator(")") {
                if !first {
                    p.expect_operator(",")?;
                    if p.skip_operator(")") {
                        break;
                    }
                }
                first = false;
                if p.is_operator("*") || p.is_operator("**") {
                    return Err(Error::new("arguments by * or ** are not read"));
                }
                let named = matches!(p.tokens.get(p.at + 1), Some((Token::Operator("="), _)));
                match p.peek() {
                    Token::Name(name) if named => {
                        let name = name.clone();
                        p.at += 2;
                        if args.named.iter().any(|(known, _)| *known == name) {
                            return Err(Error::new(format!("argument {name:?} is given twice")));
                        }
                        args.named.push((name, p.expression()?));
                    }
                    _ if !args.named.is_empty() => {
                        return Err(Error::new(
                            "an argument without a name follows one with a name",
                        ));
                    }
                    _ => args.positional.push(p.expression()?),
                }
            }
            Ok(())
        })?;
        Ok(args)
    }

    fn filtered(&mut self, mut expr: Expr) -> Result<Expr> {
        loop {
            expr = if self.skip_operator("|") {
                let filter = self.filter_name()?;
                let below = expr.height.max(filter.args.height());
                node(Kind::Filter(Box::new(expr), filter), below)?
            } else if self.skip_name("is") {
                self.test(expr)?
            } else if self.is_operator("(") {
                self.call(expr)?
            } else {
                return Ok(expr);
            };
        }
    }

    /// Parses the filters after a block's name: `upper|trim`. The first has no `|` before it.
    pub fn filter_chain(&mut self, inline: bool) -> Result<Vec<Filter>> {
        let mut chain = Vec::new();
        if inline {
            chain.push(self.filter_name()?);
        }
        while self.skip_operator("|") {
            chain.push(self.filter_name()?);
        }
        Ok(chain)
    }

    fn filter_name(&mut self) -> Result<Filter> {
        let name = self.dotted()?;
        if !filters::known(&name) {
            return Err(Error::new(format!("there is no filter {name:?}")));
        }
        let args = if self.is_operator("(") {
            self.arguments()?
        } else {
            Args::default()
        };
        Ok(Filter { name, args })
    }

    fn dotted(&mut self) -> Result<String> {
        let mut name = self.expect_name()?;
        while self.skip_operator(".") {
            name = format!("{name}.{}", self.expect_name()?);
        }
        Ok(name)
    }

    fn test(&mut self, of: Expr) -> Result<Expr> {
        let negated = self.skip_name("not");
        let name = self.dotted()?;
        if !predicates::known(&name) {
            return Err(Error::new(format!("there is no test {name:?}")));
        }
        let args = match self.peek() {
            Token::Operator("(") => self.arguments()?,
            Token::Name(word) if matches!(word.as_str(), "else" | "or" | "and") => Args::default(),
            Token::Name(word) if word == "is" => {
                return Err(Error::new("tests cannot be chained with \"is\""));
            }
            Token::Name(_)
            | Token::Text(_)
            | Token::Int(_)
            | Token::Float(_)
            | Token::Operator("[" | "{") => {
                let operand = self.primary()?;
                let positional = vec![self.postfix(operand)?];
                let named = Vec::new();
                Args { positional, named }
            }
            _ => Args::default(),
        };
        let below = of.height.max(args.height());
        let test = node(Kind::Test(Box::new(of), Filter { name, args }), below)?;
        if !negated {
            return Ok(test);
        }
        let below = test.height;
        node(Kind::Not(Box::new(test)), below)
    }
}
