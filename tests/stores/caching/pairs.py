"""Pairs of questions: what means the same, and what must never be taken for it."""

from __future__ import annotations

from typing import Final

__all__ = ["SAME", "TRAPS"]

SAME: Final = [
    ("What is your refund policy?", "what is your refund policy"),
    ("What is your refund policy?", "What's the refund policy?"),
    ("What is the refund policy?", "Please tell me what the refund policy is."),
    ("How do I reset my password?", "How can I reset my password?"),
    ("How do I reset my password?", "Please explain how I reset my password"),
    ("Explain photosynthesis.", "Please explain photosynthesis"),
    ("Explain photosynthesis in simple terms", "Could you explain photosynthesis in simple terms?"),
    ("What are your opening hours?", "What are the opening hours?"),
    ("How do I export my invoices?", "How can I export invoices?"),
    ("What payment methods are accepted?", "Which payment methods are accepted?"),
    ("Summarise the shipping policy.", "summarise our shipping policy, please"),
    ("Write a haiku about autumn", "Write me a haiku about autumn."),
    ("How do I connect a printer?", "How do I connect the printer?"),
    ("What does error E42 mean?", "what does the error E42 mean"),
    ("Where can I download the app?", "Where do I download the app?"),
    ("How do I change my delivery address?", "How can I change the delivery address?"),
]

TRAPS: Final = [
    # numbers
    ("What is 17 times 3?", "What is 17 times 4?"),
    ("Convert 100 USD to EUR", "Convert 1000 USD to EUR"),
    ("Show the revenue of 2023", "Show the revenue of 2024"),
    ("What does error E42 mean?", "What does error E43 mean?"),
    ("List the top five customers", "List the top ten customers"),
    ("Is a fever of 38.5 dangerous?", "Is a fever of 40.5 dangerous?"),
    ("Give me version 3.1 of the contract", "Give me version 3.2 of the contract"),
    ("What is the square root of -4?", "What is the square root of 4?"),
    ("Is 5 > 3?", "Is 5 < 3?"),
    ("Was kostet es für zwei Personen?", "Was kostet es für drei Personen?"),
    # negations
    ("Which foods are safe to eat during pregnancy?", "Which foods are not safe to eat during pregnancy?"),
    ("Can I take ibuprofen with alcohol?", "Can I take ibuprofen without alcohol?"),
    ("Why should I sign the contract?", "Why shouldn't I sign the contract?"),
    ("Darf ich das Dokument weitergeben?", "Darf ich das Dokument nicht weitergeben?"),
    ("Puedo compartir el documento?", "No puedo compartir el documento?"),
    ("Is it legal to record a call?", "Is it illegal to record a call?"),
    ("Which of them have paid?", "Which of them have never paid?"),
    # opposites
    ("How do I enable two-factor authentication?", "How do I disable two-factor authentication?"),
    ("How do I add a user?", "How do I delete a user?"),
    ("What was approved before the merger?", "What was approved after the merger?"),
    ("Sort the list in ascending order", "Sort the list in descending order"),
    ("Is the stock price going up?", "Is the stock price going down?"),
    ("What are the advantages of solar power?", "What are the disadvantages of solar power?"),
    ("What is the maximum dose of paracetamol?", "What is the minimum dose of paracetamol?"),
    ("How do I grant access to the folder?", "How do I revoke access to the folder?"),
    # names
    ("Who is Anna Schmidt?", "Who is Anna Schulz?"),
    ("What is the salary of Alice?", "What is the salary of Bob?"),
    ("what is the salary of alice?", "what is the salary of bob?"),
    ("Translate this for our office in Paris", "Translate this for our office in Berlin"),
    ("translate this for our office in paris", "translate this for our office in berlin"),
    ("Open the ticket ACME-SEC", "Open the ticket ACME-OPS"),
    ("what is the capital of france", "what is the capital of spain"),
    ("Summarise the case of Smith against Jones", "Summarise the case of Jones against Smith"),
    # dates
    ("What happened on 1 May 2024?", "What happened on 1 June 2024?"),
    ("Who is on duty on Monday?", "Who is on duty on Tuesday?"),
    ("What is the weather today?", "What is the weather tomorrow?"),
    ("What are the sales of last week?", "What are the sales of last month?"),
    # order
    ("Does the dog bite the man?", "Does the man bite the dog?"),
    ("translate from german to english", "translate from english to german"),
    ("is the cat bigger than the dog", "is the dog bigger than the cat"),
    ("convert euros to dollars", "convert dollars to euros"),
    # languages
    ("What is the refund policy?", "Was ist die Rückgabepolitik?"),
    ("Explain photosynthesis.", "Explica la fotosíntesis."),
    ("Write a poem in French", "Write a poem in Spanish"),
    ("Hello", "Привет"),
    # another thing
    ("How do I reset my password?", "How do I reset my router?"),
    ("What are the symptoms of flu?", "What are the symptoms of measles?"),
    ("Who wrote the report?", "Who read the report?"),
    ("What is your refund policy?", "What is your privacy policy?"),
    ("How do I connect a printer?", "How do I connect a scanner?"),
    ("Write a haiku about autumn", "Write a haiku about winter"),
    ("Explain the diagnosis of diabetes", "Explain the treatment of diabetes"),
    ("What is his email address?", "What is her email address?"),
    ("How do I cancel my order?", "How do I track my order?"),
    ("Can I eat mushrooms raw?", "Can I eat mushrooms cooked?"),
    ("List employees who earn bonuses", "List employees who earn salaries"),
]
