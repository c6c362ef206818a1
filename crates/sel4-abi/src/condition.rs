//! Conditions under which an invocation or system call exists.
//!
//! The older files state them as C expressions (`defined(CONFIG_VTX)`, `CONFIG_MAX_NUM_NODES > 1`),
//! the newer ones as elements (`<condition><not><config var="CONFIG_KERNEL_MCS"/></not></condition>`).
//! Anything else is an error: a condition that is guessed wrong would shift all later numbers.

use crate::config::Config;
use crate::xml::Element;

/// A condition over a kernel's configuration.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    Always,
    Defined(String),
    On(String),
    Compare(String, Relation, u64),
    Not(Box<Condition>),
    All(Vec<Condition>),
    Any(Vec<Condition>),
}

/// How a switch is compared with a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
}

impl Condition {
    /// Reads the condition of an element, from its attribute or its `<condition>` child.
    pub(crate) fn of(element: &Element) -> Result<Self, String> {
        if let Some(expression) = element.attribute("condition") {
            return Self::from_expression(expression);
        }
        let mut children = element.children_named("condition");
        match (children.next(), children.next()) {
            (None, _) => Ok(Self::Always),
            (Some(condition), None) => Self::from_elements(condition).map(Self::All),
            (Some(_), Some(_)) => Err("two <condition> elements".into()),
        }
    }

    /// Parses a C expression of the kind that stands in an attribute.
    pub(crate) fn from_expression(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Ok(Self::Always);
        }
        let mut parser = Expression { tokens: tokens(text)?, at: 0 };
        let condition = parser.any()?;
        match parser.peek() {
            None => Ok(condition),
            Some(token) => Err(format!("'{token}' is not expected in the condition '{text}'")),
        }
    }

    fn from_elements(parent: &Element) -> Result<Vec<Self>, String> {
        parent.children.iter().map(Self::from_element).collect()
    }

    fn from_element(element: &Element) -> Result<Self, String> {
        match element.name.as_str() {
            "config" => match element.attribute("var") {
                Some(name) => Ok(Self::On(name.to_owned())),
                None => Err("<config> in a condition without 'var'".into()),
            },
            "and" => Self::from_elements(element).map(Self::All),
            "or" => Self::from_elements(element).map(Self::Any),
            "not" => {
                Self::from_elements(element).map(|inner| Self::Not(Box::new(Self::All(inner))))
            }
            other => Err(format!("<{other}> is not known in a condition")),
        }
    }

    /// Whether the condition holds.
    pub(crate) fn holds(&self, config: &Config) -> bool {
        match self {
            Self::Always => true,
            Self::Defined(name) => config.is_defined(name),
            Self::On(name) => config.is_on(name),
            Self::Compare(name, relation, number) => {
                // The preprocessor takes an undefined name for 0.
                relation.holds(config.number(name).unwrap_or(0), *number)
            }
            Self::Not(inner) => !inner.holds(config),
            Self::All(parts) => parts.iter().all(|part| part.holds(config)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(config)),
        }
    }
}

impl Relation {
    fn parse(token: &str) -> Option<Self> {
        Some(match token {
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            _ => return None,
        })
    }

    fn holds(self, left: u64, right: u64) -> bool {
        match self {
            Self::Greater => left > right,
            Self::GreaterOrEqual => left >= right,
            Self::Less => left < right,
            Self::LessOrEqual => left <= right,
            Self::Equal => left == right,
            Self::NotEqual => left != right,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<&str>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first.is_ascii_alphanumeric() || first == '_' {
            rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len())
        } else if ["&&", "||", ">=", "<=", "==", "!="].iter().any(|two| rest.starts_with(two)) {
            2
        } else if "()!<>".contains(first) {
            1
        } else {
            return Err(format!("'{first}' is not known in the condition '{text}'"));
        };
        let (token, tail) = rest.split_at(length);
        tokens.push(token);
        rest = tail.trim_start();
    }
    Ok(tokens)
}

/// Recursive descent over `any := all ('||' all)*`, `all := one ('&&' one)*`.
struct Expression<'a> {
    tokens: Vec<&'a str>,
    at: usize,
}

impl<'a> Expression<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.tokens.get(self.at).copied()
    }

    fn take(&mut self, token: &str) -> bool {
        let found = self.peek() == Some(token);
        self.at += usize::from(found);
        found
    }

    fn next(&mut self) -> Result<&'a str, String> {
        let token = self.peek().ok_or("the condition ends too early")?;
        self.at += 1;
        Ok(token)
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.take(token) { Ok(()) } else { Err(format!("'{token}' is missing in a condition")) }
    }

    fn any(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.all()?];
        while self.take("||") {
            parts.push(self.all()?);
        }
        Ok(single_or(parts, Condition::Any))
    }

    fn all(&mut self) -> Result<Condition, String> {
        let mut parts = vec![self.one()?];
        while self.take("&&") {
            parts.push(self.one()?);
        }
        Ok(single_or(parts, Condition::All))
    }

    fn one(&mut self) -> Result<Condition, String> {
        if self.take("!") {
            return Ok(Condition::Not(Box::new(self.one()?)));
        }
        if self.take("(") {
            let inner = self.any()?;
            self.expect(")")?;
            return Ok(inner);
        }
        if self.take("defined") {
            let bracketed = self.take("(");
            let name = self.next()?.to_owned();
            if bracketed {
                self.expect(")")?;
            }
            return Ok(Condition::Defined(name));
        }
        self.comparison()
    }

    fn comparison(&mut self) -> Result<Condition, String> {
        let name = self.next()?.to_owned();
        let Some(relation) = self.peek().and_then(Relation::parse) else {
            return Ok(Condition::On(name));
        };
        self.at += 1;
        let number = self.next()?;
        let number =
            number.parse().map_err(|_| format!("'{number}' is no number in a condition"))?;
        Ok(Condition::Compare(name, relation, number))
    }
}

fn single_or(mut parts: Vec<Condition>, many: fn(Vec<Condition>) -> Condition) -> Condition {
    if parts.len() == 1 { parts.swap_remove(0) } else { many(parts) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::from_autoconf("#define CONFIG_A 1\n#define CONFIG_NODES 1\n#define CONFIG_ZERO 0\n")
    }

    #[test]
    fn expressions() {
        for (text, expected) in [
            ("", true),
            ("defined(CONFIG_A)", true),
            ("defined CONFIG_A", true),
            ("defined(CONFIG_ZERO)", true),
            ("CONFIG_ZERO", false),
            ("!defined CONFIG_B", true),
            ("CONFIG_NODES > 1", false),
            ("CONFIG_NODES >= 1 && CONFIG_NODES <= 1 && CONFIG_NODES == 1", true),
            ("CONFIG_NODES != 1 || CONFIG_MISSING < 1", true),
            ("!(defined(CONFIG_A) && defined(CONFIG_B))", true),
            ("defined(CONFIG_B) || defined(CONFIG_A) && defined(CONFIG_B)", false),
        ] {
            assert_eq!(
                Condition::from_expression(text).unwrap().holds(&config()),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn unknown_syntax_is_refused() {
        for text in ["defined(A", "A +", "A > B", "&& A", "A B", "defined", "A % 2"] {
            assert!(Condition::from_expression(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elements() {
        for (inner, expected) in [
            ("<config var='CONFIG_A'/>", true),
            ("<not><config var='CONFIG_A'/></not>", false),
            ("<and><config var='CONFIG_A'/><config var='CONFIG_B'/></and>", false),
            ("<or><config var='CONFIG_B'/><config var='CONFIG_A'/></or>", true),
            ("<and><not><config var='CONFIG_B'/></not><config var='CONFIG_A'/></and>", true),
        ] {
            let text = format!("<method><condition>{inner}</condition></method>");
            let element = crate::xml::parse(&text).unwrap();
            assert_eq!(Condition::of(&element).unwrap().holds(&config()), expected, "{inner}");
        }
        for inner in ["<xor/>", "<config/>"] {
            let text = format!("<method><condition>{inner}</condition></method>");
            assert!(Condition::of(&crate::xml::parse(&text).unwrap()).is_err(), "{inner}");
        }
    }
}
