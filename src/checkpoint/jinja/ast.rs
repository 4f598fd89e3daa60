//! The syntax tree of a template.

/// An expression and its depth, itself included.
#[derive(Debug)]
pub(super) struct Expr {
    pub kind: Kind,
    pub height: usize,
}

#[derive(Debug)]
pub(super) enum Kind {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Name(String),
    List(Vec<Expr>),
    Tuple(Vec<Expr>),
    Dict(Vec<(Expr, Expr)>),
    /// `a.name`.
    Attribute(Box<Expr>, String),
    /// `a[b]`.
    Item(Box<Expr>, Box<Expr>),
    /// `a[start:stop:step]`.
    Slice(Box<Expr>, Box<[Option<Expr>; 3]>),
    Call(Box<Expr>, Args),
    Filter(Box<Expr>, Filter),
    /// `a is name(...)`.
    Test(Box<Expr>, Filter),
    Not(Box<Expr>),
    Negative(Box<Expr>),
    Positive(Box<Expr>),
    And(Box<Expr>, Box<Expr>),
    Or(Box<Expr>, Box<Expr>),
    Arithmetic(Arithmetic, Box<Expr>, Box<Expr>),
    /// `a ~ b ~ ...`.
    Concat(Vec<Expr>),
    /// `a < b <= ...`, as Python chains them.
    Compare(Box<Expr>, Vec<(Comparison, Expr)>),
    /// `yes if test else no`.
    Conditional(Box<[Expr; 2]>, Option<Box<Expr>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    FloorDivide,
    Modulo,
    Power,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessEqual,
    Greater,
    GreaterEqual,
    In,
    NotIn,
}

/// The arguments of a call.
#[derive(Debug, Default)]
pub(super) struct Args {
    pub positional: Vec<Expr>,
    pub named: Vec<(String, Expr)>,
}

/// A filter's or a test's name and arguments.
#[derive(Debug)]
pub(super) struct Filter {
    pub name: String,
    pub args: Args,
}

/// A statement and its first line.
#[derive(Debug)]
pub(super) struct Statement {
    pub kind: StatementKind,
    pub line: usize,
}

#[derive(Debug)]
pub(super) enum StatementKind {
    Data(String),
    Print(Expr),
    For(Box<For>),
    /// Conditions with their bodies, and the `else` body.
    If(Vec<(Expr, Vec<Statement>)>, Vec<Statement>),
    Set(Target, Expr),
    SetBlock(Target, Vec<Filter>, Vec<Statement>),
    With(Vec<(Target, Expr)>, Vec<Statement>),
    FilterBlock(Vec<Filter>, Vec<Statement>),
    Macro(String, std::sync::Arc<MacroDef>),
    /// `{% call(params) f(...) %}`: the callee, its arguments, and the body as a macro.
    CallBlock(Expr, Args, std::sync::Arc<MacroDef>),
    /// `{% generation %}`: its body, with its own scope.
    Generation(Vec<Statement>),
    Break,
    Continue,
}

#[derive(Debug)]
pub(super) struct For {
    pub target: Target,
    pub iter: Expr,
    pub test: Option<Expr>,
    pub body: Vec<Statement>,
    pub otherwise: Vec<Statement>,
}

#[derive(Debug)]
pub(super) struct MacroDef {
    pub name: String,
    /// Parameter names and defaults.
    pub params: Vec<(String, Option<Expr>)>,
    pub body: Vec<Statement>,
}

/// The target of an assignment.
#[derive(Debug)]
pub(super) enum Target {
    Name(String),
    Tuple(Vec<Target>),
    /// `ns.name`, for a namespace.
    Namespace(String, String),
}
