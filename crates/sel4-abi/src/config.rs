//! The configuration a kernel was built with.
//!
//! Names are kept without the `CONFIG_` prefix, as `gen_config.json` has them.

use std::collections::BTreeMap;

/// The value of a configuration switch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// On or off. Off and absent mean the same.
    Bool(bool),
    /// A number, however it was written.
    Number(u64),
    /// Anything else.
    Text(String),
}

/// A kernel's configuration: switch name (without `CONFIG_`) to value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Config {
    values: BTreeMap<String, Value>,
}

impl Config {
    /// Reads the `#define CONFIG_NAME VALUE` lines of an `autoconf.h`; other lines are skipped.
    pub fn from_autoconf(text: &str) -> Self {
        let mut values = BTreeMap::new();
        for line in text.lines() {
            let Some(definition) = line.trim().strip_prefix("#define") else {
                continue;
            };
            let (name, value) = definition
                .trim()
                .split_once(char::is_whitespace)
                .unwrap_or((definition.trim(), "1"));
            let Some(name) = name.strip_prefix("CONFIG_") else {
                continue;
            };
            values.insert(name.to_owned(), value_of(without_comment(value)));
        }
        Self { values }
    }

    /// Reads a `gen_config.json`: one flat object of booleans, numbers and strings.
    ///
    /// # Errors
    ///
    /// The line and what is wrong there, when the text is no such object.
    pub fn from_json(text: &str) -> Result<Self, (usize, String)> {
        let mut reader = JsonReader { text, at: 0 };
        reader
            .object()
            .map(|values| Self { values })
            .map_err(|problem| (text[..reader.at].matches('\n').count() + 1, problem))
    }

    /// Adds the switches of another file; a switch in both keeps the first value.
    pub fn merge(&mut self, other: Self) {
        for (name, value) in other.values {
            self.values.entry(name).or_insert(value);
        }
    }

    /// A value by name, with or without `CONFIG_`.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.values.get(name.strip_prefix("CONFIG_").unwrap_or(name))
    }

    /// Whether a switch is on. A number counts as on unless it is zero, a text unless empty.
    pub fn is_on(&self, name: &str) -> bool {
        match self.get(name) {
            None => false,
            Some(Value::Bool(on)) => *on,
            Some(Value::Number(number)) => *number != 0,
            Some(Value::Text(text)) => !text.is_empty(),
        }
    }

    /// Whether a switch is defined in the sense of C's `defined`.
    pub(crate) fn is_defined(&self, name: &str) -> bool {
        !matches!(self.get(name), None | Some(Value::Bool(false)))
    }

    /// A number; `true` is 1. Texts and `false` give `None`.
    pub fn number(&self, name: &str) -> Option<u64> {
        match self.get(name)? {
            Value::Bool(true) => Some(1),
            Value::Number(number) => Some(*number),
            Value::Bool(false) | Value::Text(_) => None,
        }
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn without_comment(value: &str) -> &str {
    value.split("/*").next().unwrap_or(value).split("//").next().unwrap_or(value).trim()
}

/// A number in decimal or hexadecimal, a quoted or a bare text.
fn value_of(text: &str) -> Value {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.map_or_else(|| Value::Text(text.to_owned()), Value::Number)
}

struct JsonReader<'a> {
    text: &'a str,
    at: usize,
}

impl JsonReader<'_> {
    fn object(&mut self) -> Result<BTreeMap<String, Value>, String> {
        let mut values = BTreeMap::new();
        self.expect('{')?;
        if self.take('}') {
            return self.end(values);
        }
        loop {
            let name = self.string()?;
            self.expect(':')?;
            let value = self.value()?;
            values.insert(name, value);
            if self.take('}') {
                return self.end(values);
            }
            self.expect(',')?;
        }
    }

    fn end<T>(&mut self, value: T) -> Result<T, String> {
        self.skip_space();
        if self.at == self.text.len() { Ok(value) } else { Err("text after the object".into()) }
    }

    fn value(&mut self) -> Result<Value, String> {
        self.skip_space();
        let rest = &self.text[self.at..];
        if rest.starts_with('"') {
            return Ok(value_of(&self.string()?));
        }
        let length = rest.find([',', '}', '\n', ' ', '\t', '\r']).unwrap_or(rest.len());
        let word = &rest[..length];
        let value = match word {
            "true" => Value::Bool(true),
            "false" | "null" => Value::Bool(false),
            _ => match word.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => return Err(format!("'{word}' is no boolean, number or string")),
            },
        };
        self.at += length;
        Ok(value)
    }

    fn string(&mut self) -> Result<String, String> {
        self.expect('"')?;
        let mut string = String::new();
        let mut characters = self.text[self.at..].char_indices();
        while let Some((offset, character)) = characters.next() {
            match character {
                '"' => {
                    self.at += offset + 1;
                    return Ok(string);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\' | '/'))) => string.push(escaped),
                    _ => return Err("an escape that no configuration needs".into()),
                },
                other => string.push(other),
            }
        }
        Err("a string has no closing quote".into())
    }

    fn skip_space(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn take(&mut self, character: char) -> bool {
        self.skip_space();
        let found = self.text[self.at..].starts_with(character);
        if found {
            self.at += character.len_utf8();
        }
        found
    }

    fn expect(&mut self, character: char) -> Result<(), String> {
        if self.take(character) { Ok(()) } else { Err(format!("'{character}' is missing")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autoconf_defines() {
        let config = Config::from_autoconf(
            "#ifndef A\n#define A\n#define CONFIG_SYSCALL 1\n  #define CONFIG_X  0x10 /* why */\n\
             #define CONFIG_PLAT \"pc99\"\n#define CONFIG_EMPTY\n/* #undef CONFIG_OFF */\n#endif\n",
        );
        assert_eq!(config.number("SYSCALL"), Some(1));
        assert_eq!(config.number("CONFIG_X"), Some(16));
        assert_eq!(config.get("PLAT"), Some(&Value::Text("pc99".into())));
        assert!(config.is_on("EMPTY"));
        assert!(!config.is_on("OFF") && !config.is_defined("OFF"));
    }

    #[test]
    fn json_object() {
        let text = "{\n \"KERNEL_MCS\": false,\n \"MAX_NUM_NODES\": \"1\",\"PLAT\":\"pc\\\"99\",\n\
                    \"WORD_SIZE\": 64, \"PRINTING\":true}\n";
        let config = Config::from_json(text).unwrap();
        assert_eq!(config.number("MAX_NUM_NODES"), Some(1));
        assert_eq!(config.number("WORD_SIZE"), Some(64));
        assert!(config.is_on("PRINTING"));
        assert!(!config.is_defined("KERNEL_MCS"));
        assert_eq!(config.get("PLAT"), Some(&Value::Text("pc\"99".into())));
        assert!(Config::from_json("{}").unwrap().is_empty());
    }

    #[test]
    fn json_errors_carry_the_line() {
        for (text, line) in
            [("{\n\"A\": maybe}", 2), ("[]", 1), ("{\"A\"\n\n: 1", 3), ("{} x", 1), ("{\"A", 1)]
        {
            assert_eq!(Config::from_json(text).unwrap_err().0, line, "{text:?}");
        }
    }
}
