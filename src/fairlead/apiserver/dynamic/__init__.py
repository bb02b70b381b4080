"""Dynamic admission: webhooks and policies that users define (admissionregistration.k8s.io).

`configurations` keeps what is defined, `matching` says which of it concerns a request (pure), `policies` evaluates
policies, `calls` asks webhooks, `admission` is the order of it all. Where nothing is defined, nothing is asked.
"""
