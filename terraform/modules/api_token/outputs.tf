output "values" {
  description = "The values of the tokens, by role (plan, apply). Put them in the secret store and never log them."
  value       = { for role, token in cloudflare_account_token.this : role => token.value }
  sensitive   = true
}

output "ids" {
  description = "The ids of the tokens, by role."
  value       = { for role, token in cloudflare_account_token.this : role => token.id }
}
