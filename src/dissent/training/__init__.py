"""Training the zoo: small timm models, by several frameworks, from recipes."""
