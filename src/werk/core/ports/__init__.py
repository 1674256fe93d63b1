"""Small Protocols with numbered promises; `werk.testing.<port>` checks exactly those against every adapter."""
