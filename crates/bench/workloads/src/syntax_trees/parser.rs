//! Parser: tokens of a text, then a tree of boxes. A text that is no program ends the process.

/// A line that defines a variable.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) name: String,
    pub(super) value: Expression,
}

/// A node of the tree.
#[derive(Debug)]
pub(super) enum Expression {
    Number(u32),
    Name(String),
    Sum(Vec<Expression>),
    Product(Box<Expression>, Box<Expression>),
}

#[derive(Debug, PartialEq)]
enum Token {
    Number(u32),
    Name(String),
    Sign(char),
}

/// The statements of `text`.
pub(super) fn parse(text: &str) -> Vec<Statement> {
    let mut parser = Parser {
        tokens: tokens(text).into_iter().peekable(),
    };
    let mut program = Vec::new();
    while parser.tokens.peek().is_some() {
        program.push(parser.statement());
    }
    program
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let belongs = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let word = rest.find(|letter| !belongs(letter)).unwrap_or(rest.len());
        let (token, len) = if first.is_ascii_digit() {
            let number = rest[..word].parse().expect("digits alone");
            (Token::Number(number), word)
        } else if word > 0 {
            (Token::Name(rest[..word].to_owned()), word)
        } else {
            (Token::Sign(first), first.len_utf8())
        };
        tokens.push(token);
        rest = rest[len..].trim_start();
    }
    tokens
}

struct Parser {
    tokens: std::iter::Peekable<std::vec::IntoIter<Token>>,
}

impl Parser {
    fn statement(&mut self) -> Statement {
        let Some(Token::Name(name)) = self.tokens.next() else {
            panic!("a statement begins with a name");
        };
        self.expect('=');
        let value = self.sum();
        self.expect(';');
        Statement { name, value }
    }

    fn sum(&mut self) -> Expression {
        let first = self.product();
        if !self.follows('+') {
            return first;
        }
        let mut terms = vec![first];
        while self.takes('+') {
            terms.push(self.product());
        }
        Expression::Sum(terms)
    }

    fn product(&mut self) -> Expression {
        let mut product = self.atom();
        while self.takes('*') {
            product = Expression::Product(Box::new(product), Box::new(self.atom()));
        }
        product
    }

    fn atom(&mut self) -> Expression {
        match self.tokens.next() {
            Some(Token::Number(number)) => Expression::Number(number),
            Some(Token::Name(name)) => Expression::Name(name),
            Some(Token::Sign('(')) => {
                let sum = self.sum();
                self.expect(')');
                sum
            }
            token => panic!("{token:?} begins no expression"),
        }
    }

    fn follows(&mut self, sign: char) -> bool {
        self.tokens.peek() == Some(&Token::Sign(sign))
    }

    fn takes(&mut self, sign: char) -> bool {
        let follows = self.follows(sign);
        if follows {
            self.tokens.next();
        }
        follows
    }

    fn expect(&mut self, sign: char) {
        assert!(self.takes(sign), "{sign} should follow");
    }
}
